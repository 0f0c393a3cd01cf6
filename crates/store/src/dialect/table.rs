//! Lists of values as a table to select from: one text of SQL, prepared once, however many there are.

use std::borrow::Cow;

use sqlx::Arguments as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use super::statement::{push_parameter, storable};

/// A table of values with a name, named columns, and the column `position`, which counts its rows from 1.
#[derive(Debug)]
pub(crate) struct Table<'q> {
    name: &'static str,
    columns: Vec<(&'static str, Column<'q>)>,
}

#[derive(Debug)]
enum Column<'q> {
    Texts(Vec<Option<Cow<'q, str>>>),
    Integers(Vec<Option<i64>>),
}

impl<'q> Table<'q> {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, columns: Vec::new() }
    }

    /// The same under another name.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Adds a column of texts; all columns are equally long.
    pub(crate) fn texts(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<impl Into<Cow<'q, str>>>>,
    ) -> Self {
        let texts = values.into_iter().map(|text| text.map(|text| storable(text.into()))).collect();
        self.columns.push((name, Column::Texts(texts)));
        self
    }

    /// Adds a column of integers; all columns are equally long.
    pub(crate) fn integers(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<i64>>,
    ) -> Self {
        self.columns.push((name, Column::Integers(values.into_iter().collect())));
        self
    }

    /// As a JSON array of rows.
    pub(super) fn add_to_sqlite(
        &self,
        text: &mut String,
        arguments: &mut SqliteArguments,
    ) -> Result<(), BoxDynError> {
        arguments.add(self.json()?)?;
        text.push_str("(SELECT key + 1 AS position");
        for (index, (name, _)) in self.columns.iter().enumerate() {
            text.push_str(", value ->> ");
            text.push_str(&index.to_string());
            text.push_str(" AS ");
            text.push_str(name);
        }
        text.push_str(" FROM json_each(");
        push_parameter(text, arguments.len());
        text.push_str(")) AS ");
        text.push_str(self.name);
        Ok(())
    }

    /// As one array per column.
    pub(super) fn add_to_postgres(
        &self,
        text: &mut String,
        arguments: &mut PgArguments,
    ) -> Result<(), BoxDynError> {
        text.push_str("unnest(");
        for (index, (_, column)) in self.columns.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            match column {
                Column::Texts(texts) => arguments.add(texts)?,
                Column::Integers(integers) => arguments.add(integers)?,
            }
            push_parameter(text, arguments.len());
        }
        text.push_str(") WITH ORDINALITY AS ");
        text.push_str(self.name);
        text.push('(');
        for (name, _) in &self.columns {
            text.push_str(name);
            text.push_str(", ");
        }
        text.push_str("position)");
        Ok(())
    }

    fn json(&self) -> Result<String, serde_json::Error> {
        let rows = self.columns.first().map_or(0, |(_, column)| column.len());
        let mut json = Vec::from(*b"[");
        for row in 0..rows {
            json.extend_from_slice(if row == 0 { b"[" } else { b",[" });
            for (index, (_, column)) in self.columns.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                match column {
                    Column::Texts(texts) => serde_json::to_writer(&mut json, &texts.get(row))?,
                    Column::Integers(integers) => serde_json::to_writer(&mut json, &integers.get(row))?,
                }
            }
            json.push(b']');
        }
        json.push(b']');
        Ok(String::from_utf8_lossy(&json).into_owned())
    }
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Integers(integers) => integers.len(),
        }
    }
}
