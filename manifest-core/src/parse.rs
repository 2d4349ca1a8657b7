//! JSON to fields and entries, strictly: duplicate keys, inexact integers and endless lists are
//! refused while reading, so that a hostile document costs no more than its own length.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::Deserializer as _;
use serde::de::{Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::quote;
use crate::limits::MAX_SAFE_INTEGER;
use crate::path::MANIFEST_FILE_NAME;
use crate::{Error, ErrorKind, FileEntry, Limits, ReleasePath, Sha256Digest, rules};

/// 2^53, from which on a float stands for several integers.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// A document, split into its entries and everything else.
pub(crate) struct Parsed {
    pub(crate) document: Map<String, Value>,
    /// In the order received. `None` if the document has no `files`.
    pub(crate) entries: Option<Vec<FileEntry>>,
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Parsed, Error> {
    check_length(bytes.len(), limits)?;
    let context = Context::new(limits);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = deserializer
        .deserialize_map(DocumentVisitor(&context))
        .and_then(|parsed| {
            deserializer.end()?;
            Ok(parsed)
        });
    parsed.map_err(|error| context.explain(&error))
}

pub(crate) fn check_length(length: usize, limits: &Limits) -> Result<(), Error> {
    if length as u64 <= limits.max_bytes {
        return Ok(());
    }
    let text = format!(
        "the manifest has {length} bytes, more than the {} allowed",
        limits.max_bytes
    );
    Err(Error::new(ErrorKind::Limit, text))
}

/// Which numbers are let through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Those that every reader keeps as they are.
    Exact,
    /// Also those that other readers would round.
    #[cfg(feature = "schema")]
    Any,
}

/// Any document, read as strictly as a manifest but for its fields and, if so asked, its numbers.
pub(crate) fn value(bytes: &[u8], limits: &Limits, numbers: Numbers) -> Result<Value, Error> {
    check_length(bytes.len(), limits)?;
    // Entries are values here too.
    let max_values = limits
        .max_files
        .saturating_mul(8)
        .saturating_add(limits.max_values);
    let limits = Limits {
        max_values,
        ..limits.clone()
    };
    let context = Context {
        numbers,
        ..Context::new(&limits)
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = ValueSeed(&context)
        .deserialize(&mut deserializer)
        .and_then(|value| {
            deserializer.end()?;
            Ok(value)
        });
    value.map_err(|error| context.explain(&error))
}

struct Context<'l> {
    limits: &'l Limits,
    numbers: Numbers,
    /// Values kept without a type of our own.
    values: Cell<usize>,
    failure: RefCell<Option<Error>>,
}

impl<'l> Context<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            numbers: Numbers::Exact,
            values: Cell::new(0),
            failure: RefCell::new(None),
        }
    }

    /// Our own refusals travel beside serde's error, which can carry only text.
    fn explain(&self, error: &serde_json::Error) -> Error {
        self.failure
            .take()
            .unwrap_or_else(|| Error::new(ErrorKind::Manifest, format!("not a manifest: {error}")))
    }

    /// Counts a value that is about to be kept: in memory it is many times as large as in JSON.
    fn keep_value<E: serde::de::Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        if self.values.get() <= self.limits.max_values {
            return Ok(());
        }
        let text = format!(
            "more than the {} values allowed outside the known fields of the files",
            self.limits.max_values
        );
        Err(self.refuse(Error::new(ErrorKind::Limit, text)))
    }
    fn refuse<E: serde::de::Error>(&self, error: Error) -> E {
        let text = error.to_string();
        self.failure.borrow_mut().get_or_insert(error);
        E::custom(text)
    }

    /// Gives an error of serde's own the place where it happened.
    fn place<E: serde::de::Error>(&self, error: E, pointer: impl FnOnce() -> String) -> E {
        let mut failure = self.failure.borrow_mut();
        let placed = failure
            .take()
            .unwrap_or_else(|| Error::new(ErrorKind::Manifest, error.to_string()))
            .at(pointer());
        *failure = Some(placed);
        error
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn duplicate_key(key: &str) -> Error {
    let shown: String = key.chars().take(100).collect();
    Error::new(
        ErrorKind::Manifest,
        format!("the key {shown:?} appears twice"),
    )
}

/// A string in JSON, which need not be Unicode: it can escape one half of a surrogate pair.
struct RawText(Result<String, String>);

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = RawText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<RawText, E> {
                Ok(RawText(String::from_utf8(bytes.to_vec()).map_err(
                    |error| String::from_utf8_lossy(error.as_bytes()).into_owned(),
                )))
            }
        }
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct DocumentVisitor<'c, 'l>(&'c Context<'l>);

impl<'de> Visitor<'de> for DocumentVisitor<'_, '_> {
    type Value = Parsed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let context = self.0;
        let mut parsed = Parsed {
            document: Map::new(),
            entries: None,
        };
        while let Some(key) = map.next_key::<String>()? {
            let seen =
                parsed.document.contains_key(&key) || (key == "files" && parsed.entries.is_some());
            if seen {
                return Err(context.refuse(duplicate_key(&key)));
            }
            if key == "files" {
                let entries = map.next_value_seed(EntriesSeed(context));
                parsed.entries =
                    Some(entries.map_err(|error| context.place(error, || "/files".into()))?);
            } else {
                let value = context
                    .keep_value()
                    .and_then(|()| map.next_value_seed(ValueSeed(context)));
                let value =
                    value.map_err(|error| context.place(error, || format!("/{}", escape(&key))))?;
                parsed.document.insert(key, value);
            }
        }
        Ok(parsed)
    }
}

struct EntriesSeed<'c, 'l>(&'c Context<'l>);

impl<'de> DeserializeSeed<'de> for EntriesSeed<'_, '_> {
    type Value = Vec<FileEntry>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntriesSeed<'_, '_> {
    type Value = Vec<FileEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let context = self.0;
        let mut entries = Vec::new();
        loop {
            let index = entries.len();
            let entry = sequence.next_element_seed(EntrySeed { context, index });
            let entry =
                entry.map_err(|error| context.place(error, || format!("/files/{index}")))?;
            let Some(entry) = entry else {
                return Ok(entries);
            };
            if index >= context.limits.max_files {
                return Err(context.refuse(Error::new(
                    ErrorKind::Limit,
                    format!("more than the {} files allowed", context.limits.max_files),
                )));
            }
            entries.push(entry);
        }
    }
}

struct EntrySeed<'c, 'l> {
    context: &'c Context<'l>,
    index: usize,
}

impl EntrySeed<'_, '_> {
    fn pointer(&self, field: &str) -> String {
        format!("/files/{}/{}", self.index, escape(field))
    }
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_, '_> {
    type Value = FileEntry;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<FileEntry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_, '_> {
    type Value = FileEntry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a file entry (an object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileEntry, A::Error> {
        let context = self.context;
        let mut path: Option<RawText> = None;
        let mut sha256: Option<Sha256Digest> = None;
        let mut size: Option<u64> = None;
        let mut url: Option<String> = None;
        let mut executable: Option<bool> = None;
        let mut unknown: Map<String, Value> = Map::new();

        while let Some(key) = map.next_key::<String>()? {
            let seen = match &*key {
                "path" => path.is_some(),
                "sha256" => sha256.is_some(),
                "size" => size.is_some(),
                "url" => url.is_some(),
                "executable" => executable.is_some(),
                _ => unknown.contains_key(&key),
            };
            if seen {
                return Err(context.refuse(duplicate_key(&key).at(self.pointer(&key))));
            }
            let read = match &*key {
                "path" => map.next_value().map(|value| path = Some(value)),
                "sha256" => map.next_value::<String>().and_then(|text| {
                    sha256 = Some(text.parse().map_err(|error| context.refuse(error))?);
                    Ok(())
                }),
                "size" => map.next_value_seed(ValueSeed(context)).and_then(|value| {
                    size = Some(rules::size(&value).map_err(|error| context.refuse(error))?);
                    Ok(())
                }),
                "url" => map.next_value().map(|value| url = Some(value)),
                "executable" => map.next_value().map(|value| executable = Some(value)),
                _ => context.keep_value().and_then(|()| {
                    let value = map.next_value_seed(ValueSeed(context))?;
                    unknown.insert(key.clone(), value);
                    Ok(())
                }),
            };
            read.map_err(|error| context.place(error, || self.pointer(&key)))?;
        }

        let missing = |field: &str| -> A::Error {
            let error = Error::new(ErrorKind::Manifest, format!("the entry has no {field:?}"));
            context.refuse(error.at(format!("/files/{}", self.index)))
        };
        let RawText(path) = path.ok_or_else(|| missing("path"))?;
        let path = match path {
            Ok(path) if path == MANIFEST_FILE_NAME => Ok(ReleasePath::own_manifest()),
            Ok(path) => ReleasePath::try_from(path),
            Err(lossy) => Err(Error::new(
                ErrorKind::Path,
                format!("path {} is refused: it is not Unicode", quote(&lossy)),
            )),
        };
        let path = path.map_err(|error| context.refuse(error.at(self.pointer("path"))))?;
        Ok(FileEntry {
            path,
            sha256: sha256.ok_or_else(|| missing("sha256"))?,
            size: size.ok_or_else(|| missing("size"))?,
            url: url.ok_or_else(|| missing("url"))?.into(),
            executable,
            unknown: (!unknown.is_empty()).then(|| Box::new(unknown)),
        })
    }
}

/// Any JSON value, without duplicate keys and without integers that are not exact everywhere.
struct ValueSeed<'c, 'l>(&'c Context<'l>);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_SAFE_INTEGER && self.0.numbers == Numbers::Exact {
            let text = format!(
                "the integer {value} is over 2^53 - 1, which not every JSON reader keeps exactly"
            );
            return Err(self.0.refuse(Error::new(ErrorKind::Limit, text)));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_SAFE_INTEGER && self.0.numbers == Numbers::Exact {
            let text = format!(
                "the integer {value} is below -(2^53 - 1), which not every JSON reader keeps exactly"
            );
            return Err(self.0.refuse(Error::new(ErrorKind::Limit, text)));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Beyond 2^64 integers arrive here, rounded. Python would hash all their digits.
        if value.abs() >= INEXACT && self.0.numbers == Numbers::Exact {
            let text = format!(
                "the number {value:e} is beyond 2^53 - 1, where not every JSON reader is exact"
            );
            return Err(self.0.refuse(Error::new(ErrorKind::Limit, text)));
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(ValueSeed(self.0))? {
            self.0.keep_value()?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.0.refuse(duplicate_key(&key)));
            }
            self.0.keep_value()?;
            let value = map.next_value_seed(ValueSeed(self.0))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
