use std::io::{self, Write};

use serde_json::Value;

use crate::{Error, ErrorKind};

/// The canonical form of a JSON value: keys sorted by UTF-16 code units, no white space, numbers
/// and strings as ECMAScript writes them ([RFC 8785]).
///
/// For values without floats this equals Python's
/// `json.dumps(v, sort_keys=True, ensure_ascii=False, separators=(',', ':'))`.
///
/// # Errors
/// [`ErrorKind::Manifest`] if the value holds a number that JSON cannot write.
///
/// [RFC 8785]: https://www.rfc-editor.org/rfc/rfc8785
///
/// ```
/// use manifest_core::canonical_json;
/// use serde_json::json;
///
/// let bytes = canonical_json(&json!({"b": "é", "a": [1.0, null]}))?;
/// assert_eq!(bytes, r#"{"a":[1,null],"b":"é"}"#.as_bytes());
/// # Ok::<(), manifest_core::Error>(())
/// ```
pub fn canonical_json(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    write_value(value, &mut bytes).map_err(|error| {
        Error::new(ErrorKind::Manifest, "the value has no canonical form").with_source(error)
    })?;
    Ok(bytes)
}

pub(crate) fn write_value(value: &Value, writer: &mut impl Write) -> io::Result<()> {
    serde_json_canonicalizer::to_writer(value, writer).map_err(io::Error::other)
}

/// A string, escaped as RFC 8785, section 3.2.2.2 wants it, which is how serde_json writes strings.
pub(crate) fn write_string(text: &str, writer: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(writer, text).map_err(io::Error::other)
}

/// The members of an object, in canonical order.
pub(crate) fn write_object<'a, W: Write, V>(
    members: impl IntoIterator<Item = (&'a str, V)>,
    writer: &mut W,
    mut write_member: impl FnMut(V, &mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    writer.write_all(b"{")?;
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            writer.write_all(b",")?;
        }
        write_string(key, writer)?;
        writer.write_all(b":")?;
        write_member(value, writer)?;
    }
    writer.write_all(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8785, section 3.2.2 and appendix B; and the sorting example of section 3.2.3.
    #[test]
    fn rfc_8785_vectors() {
        let input = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(
            String::from_utf8(canonical_json(&value).unwrap()).unwrap(),
            expected
        );

        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let value: Value = serde_json::from_str(input).unwrap();
        let text = String::from_utf8(canonical_json(&value).unwrap()).unwrap();
        let order = [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small",
            "Euro Sign",
            "Emoji",
            "Hebrew",
        ];
        let positions: Vec<_> = order.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(positions.is_sorted(), "{text}");
    }

    #[test]
    fn rfc_8785_appendix_b_numbers() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let number = f64::from_bits(bits);
            let text = canonical_json(&serde_json::json!(number)).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{bits:#x}");
        }
    }
}
