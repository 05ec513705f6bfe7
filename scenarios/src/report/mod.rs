//! What a play looks like: text for people, JSON and JUnit for machines. One model, three forms;
//! nothing here computes a result.

mod json;
mod junit;
mod text;

pub use crate::text::{fold, length};
pub use json::{SCHEMA, json};
pub use junit::junit;
pub use text::{Paint, line, summary, text};
