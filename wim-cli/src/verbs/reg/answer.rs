//! Values and lists of answers as text and JSON.

use serde::Serialize;
use wim_core::base::{ImageIndex, hex};
use wim_core::formats::hive::{RegValue, reg_type};

/// A value in an answer.
#[derive(Serialize)]
pub(super) struct ValueAnswer {
    pub(super) name: String,
    /// `REG_SZ` and the like, or the number in hexadecimal.
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The bytes in hexadecimal.
    data: String,
}

impl ValueAnswer {
    pub(super) fn new(name: String, value: &RegValue) -> Self {
        let texts = if value.kind == reg_type::MULTI_SZ { value.as_multi_sz() } else { None };
        Self {
            name,
            kind: reg_type::name(value.kind).map_or_else(|| format!("{:#x}", value.kind), str::to_owned),
            text: value.as_str(),
            texts,
            number: value.as_dword().map(u64::from).or_else(|| value.as_qword()),
            data: hex::encode(&value.data),
        }
    }

    /// What people want to see of it.
    pub(super) fn shown(&self) -> String {
        if let Some(text) = &self.text {
            text.clone()
        } else if let Some(texts) = &self.texts {
            texts.join("\n")
        } else {
            self.number.map_or_else(|| self.data.clone(), |number| format!("{number} ({number:#x})"))
        }
    }

    /// Name, type and data on one line.
    pub(super) fn line(&self) -> String {
        let name = if self.name.is_empty() { "@" } else { &self.name };
        format!("    {name}    {}    {}\n", self.kind, self.shown().replace('\n', " | "))
    }
}

/// One answer per image or hive file.
#[derive(Serialize)]
pub(super) struct Answers<T> {
    pub(super) answers: Vec<T>,
}

/// Number of an image, as answers have it.
pub(super) fn number(image: Option<ImageIndex>) -> Option<u32> {
    image.map(|image| image.number())
}

/// A heading for answers of several images.
pub(super) fn heading(image: Option<u32>, several: usize) -> String {
    match image {
        Some(image) if several > 1 => format!("Image {image}:\n"),
        _ => String::new(),
    }
}
