//! JSON to a value, strictly: bounded, and no key twice.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::notes::{Notes, below};
use crate::ErrorKind;
use crate::text::quote;

/// A spec of 4 MiB names some ten thousand models; more is no spec, and costs memory.
pub(crate) const MAX_BYTES: u64 = 4 << 20;
/// A value takes many times the memory of its JSON.
const MAX_VALUES: usize = 200_000;

/// Reads a document, and notes every key that is there twice. `None` if it is no JSON or too large, which is noted too.
///
/// Nesting is bounded by `serde_json`, to 128.
pub(super) fn parse(bytes: &[u8], notes: &mut Notes) -> Option<Value> {
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!(
            "the file has {} bytes, more than the {MAX_BYTES} allowed",
            bytes.len()
        );
        notes.problem(
            ErrorKind::Spec,
            "",
            message,
            "a spec is a small file; is it the right one?",
        );
        return None;
    }
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => {
            notes.warn(
                "",
                "the file starts with a byte order mark",
                "save it as UTF-8 without one",
            );
            rest
        }
        None => bytes,
    };
    let context = Context::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = ValueSeed(&context)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    for pointer in context.duplicates.take() {
        notes.problem(
            ErrorKind::Spec,
            pointer,
            "the key is there twice",
            "leave one of the two",
        );
    }
    value
        .map_err(|error| {
            let message = format!("the file is no JSON: {error}");
            notes.problem(
                ErrorKind::Spec,
                "",
                message,
                "a spec is one JSON object, in UTF-8, without comments",
            );
        })
        .ok()
}

#[derive(Default)]
struct Context {
    values: Cell<usize>,
    place: RefCell<Vec<String>>,
    duplicates: RefCell<Vec<String>>,
}

impl Context {
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MAX_VALUES {
            return Err(E::custom(format_args!(
                "it has more than the {MAX_VALUES} values allowed"
            )));
        }
        Ok(())
    }

    fn note_duplicate(&self, key: &str) {
        const KEPT: usize = 100;
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < KEPT {
            let parent = self
                .place
                .borrow()
                .iter()
                .fold(String::new(), |at, key| below(&at, key));
            duplicates.push(below(&parent, key));
        }
    }
}

#[derive(Clone, Copy)]
struct ValueSeed<'c>(&'c Context);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            self.0.place.borrow_mut().push(values.len().to_string());
            let value = sequence.next_element_seed(self)?;
            self.0.place.borrow_mut().pop();
            match value {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.0.place.borrow_mut().push(key.clone());
            let value = map.next_value_seed(self)?;
            self.0.place.borrow_mut().pop();
            if members.contains_key(&key) {
                self.0.note_duplicate(&key);
            } else {
                members.insert(key, value);
            }
        }
        Ok(Value::Object(members))
    }
}

/// What a value is, for a message.
pub(super) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) => format!("the text {}", quote(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}
