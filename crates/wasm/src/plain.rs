//! Plain JavaScript values: objects that are read field by field, and objects that are made so.
//!
//! serde would do the same from the types' declarations; it takes 14 kB of the published module. A field that is
//! undefined or null counts as absent. Getters that throw are not caught: what comes in here are copies that the
//! TypeScript side has made.

use std::collections::BTreeMap;

use js_sys::{Array, Object, Uint8Array};
use openred_node::core::Error;
use wasm_bindgen::{JsCast, prelude::*};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Object)]
    type Fields;
    #[wasm_bindgen(method, structural, indexing_getter)]
    fn get(this: &Fields, name: &str) -> JsValue;
    #[wasm_bindgen(method, structural, indexing_setter)]
    fn set(this: &Fields, name: &str, value: JsValue);
}

/// An object to read from. What does not fit is an `INVALID_OPTION` that names the field.
pub(crate) struct Input(Fields);

impl Input {
    pub(crate) fn new(value: JsValue) -> Result<Self, Error> {
        Self::named("this", value)
    }

    fn named(name: &str, value: JsValue) -> Result<Self, Error> {
        if value.is_object() { Ok(Self(value.unchecked_into())) } else { Err(misfit(name, "an object")) }
    }

    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, Error> {
        self.field(name).map(|value| string(name, &value)).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Error> {
        self.field(name).map(|value| value.as_f64().ok_or_else(|| misfit(name, "a number"))).transpose()
    }

    /// Absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        let flag = |value: JsValue| value.as_bool().ok_or_else(|| misfit(name, "true or false"));
        self.field(name).map_or(Ok(false), flag)
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = |value: JsValue| match value.dyn_ref::<Uint8Array>() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(misfit(name, "a Uint8Array")),
        };
        self.field(name).map(bytes).transpose()
    }

    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let strings = |value: JsValue| match value.dyn_ref::<Array>() {
            Some(array) => array.iter().map(|value| string(name, &value)).collect(),
            None => Err(misfit(name, "an array")),
        };
        self.field(name).map(strings).transpose()
    }

    /// An object whose fields are all strings.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(object) = self.object(name)? else { return Ok(None) };
        let keys = Object::keys(&object.0);
        let keys = keys.iter().filter_map(|key| key.as_string());
        keys.map(|key| string(name, &object.0.get(&key)).map(|text| (key, text))).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Error> {
        self.field(name).map(|value| Self::named(name, value)).transpose()
    }

    fn field(&self, name: &str) -> Option<JsValue> {
        let value = self.0.get(name);
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }
}

fn string(name: &str, value: &JsValue) -> Result<String, Error> {
    value.as_string().ok_or_else(|| misfit(name, "text"))
}

fn misfit(name: &str, right: &str) -> Error {
    Error::InvalidOption(format!("the options do not fit: {name} is not {right}"))
}

/// The value of a field that may not be absent.
pub(crate) fn required<T>(name: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::InvalidOption(format!("the options do not fit: there is no {name}")))
}

/// An object that is being made.
pub(crate) struct Plain(Fields);

impl Plain {
    pub(crate) fn new() -> Self {
        Self(Object::new().unchecked_into())
    }

    pub(crate) fn with(self, name: &str, value: impl Into<JsValue>) -> Self {
        self.0.set(name, value.into());
        self
    }

    /// Leaves the field out if there is no value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<JsValue>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl From<Plain> for JsValue {
    fn from(plain: Plain) -> JsValue {
        plain.0.into()
    }
}

/// An array.
pub(crate) fn list(values: impl IntoIterator<Item = impl Into<JsValue>>) -> JsValue {
    values.into_iter().map(Into::into).collect::<Array>().into()
}
