//! Tables of figures, for people and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// One table: what was measured, under which conditions, and the rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// The word by which it is asked for.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub title: String,
    /// Model, sizes, seeds: what is true of every row.
    pub conditions: Vec<String>,
    /// The columns' names, units included.
    pub columns: Vec<&'static str>,
    /// One cell for each column.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: &'static str, title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { name, title: title.into(), conditions: Vec::new(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Says what is true of every row.
    pub fn condition(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    /// Adds a row, and prints it to standard error so that a long run shows how far it is.
    pub fn row(&mut self, cells: Vec<Value>) {
        let cells_text: Vec<_> = cells.iter().map(text).collect();
        eprintln!("  {}: {}", self.name, cells_text.join("  "));
        self.rows.push(cells);
    }

    /// As JSON: conditions, and each row an object by the columns' names.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let cells = self.columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.clone()));
                Value::Object(cells.collect::<Map<_, _>>())
            })
            .collect();
        json!({ "name": self.name, "title": self.title, "conditions": self.conditions, "rows": rows })
    }

    /// As text: a Markdown table.
    pub fn text(&self) -> String {
        let mut lines = format!("## {}: {}\n\n", self.name, self.title);
        for condition in &self.conditions {
            // Writing to a text does not fail.
            let _ = writeln!(lines, "- {condition}");
        }
        let cells: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(text).collect()).collect();
        let width = |column: usize| {
            let cells = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            for (cell, width) in cells.zip(&widths) {
                let _ = write!(lines, "| {cell:>width$} ");
            }
            lines.push_str("|\n");
        };
        line(&mut self.columns.iter().copied());
        let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width - 1) + ":").collect();
        line(&mut rules.iter().map(String::as_str));
        for row in &cells {
            line(&mut row.iter().map(String::as_str));
        }
        // The rules stand after an empty line.
        lines.replacen("\n| ", "\n\n| ", usize::from(!self.conditions.is_empty()))
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number with at most this many digits behind the point.
pub(crate) fn rounded(number: f64, digits: i32) -> Value {
    let scale = 10f64.powi(digits);
    let rounded = (number * scale).round() / scale;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 { json!(rounded as i64) } else { json!(rounded) }
}

/// A percentage; a rate short of the whole is never rounded up to it.
pub(crate) fn percent(part: usize, whole: usize) -> Value {
    if whole == 0 {
        return Value::Null;
    }
    let percent = (part as f64 / whole as f64 * 1e6).floor() / 1e4;
    rounded(percent, 4)
}
