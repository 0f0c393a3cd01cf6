//! Statements that run on either database.

use std::borrow::Cow;

use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, PgConnection, SqlSafeStr as _, SqlStr, SqliteConnection, Type};

use super::postgres::Patience;
use super::{Connections, Row, Table, Transaction};
use crate::error::StoreError;

/// A statement with its values, in SQL that both databases understand. Values are either named by the text (`$1`, the
/// first bound) or appended with their parameter, but not both ways in one statement. A NUL in a text, which PostgreSQL
/// does not store and SQLite takes for an end, becomes U+FFFD.
#[derive(Debug)]
pub(crate) struct Statement<'q> {
    pieces: Vec<Piece<'q>>,
    /// Whether it is prepared for this once.
    once: bool,
    patience: Patience,
}

#[derive(Debug)]
enum Piece<'q> {
    Text(&'static str),
    /// A value whose parameter the text names.
    Named(Value<'q>),
    /// A value and its parameter.
    Value(Value<'q>),
    Table(Table<'q>),
    SkipLocked,
}

/// One value, or NULL of its type.
#[derive(Debug)]
pub(crate) enum Value<'q> {
    Text(Option<Cow<'q, str>>),
    Integer(Option<i64>),
    Number(Option<f64>),
    Boolean(bool),
    Bytes(Cow<'q, [u8]>),
}

/// Where a statement runs.
pub(crate) enum Place<'c> {
    /// On a connection of its own: only for what reads.
    Reading(&'c Connections),
    In(&'c mut Transaction),
}

impl<'q> Statement<'q> {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { pieces: vec![Piece::Text(text)], once: false, patience: Patience::Usual }
    }

    /// For somebody who does without the answer when it takes long.
    pub(crate) fn hurried(mut self) -> Self {
        self.patience = Patience::Short;
        self
    }

    /// The value of the next parameter that the text names.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.pieces.push(Piece::Named(value.into()));
        self
    }

    /// Appends text.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.pieces.push(Piece::Text(text));
        self
    }

    /// Appends a parameter for `value`.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value<'q>>) -> &mut Self {
        self.pieces.push(Piece::Value(value.into()));
        self
    }

    /// Appends a table of values, to be selected from.
    pub(crate) fn push_table(&mut self, table: Table<'q>) -> &mut Self {
        self.pieces.push(Piece::Table(table));
        self
    }

    /// Appends `column IN (..)`, one parameter however many texts there are.
    pub(crate) fn push_any_of<T: Into<Cow<'q, str>>>(
        &mut self,
        column: &'static str,
        texts: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.push(column).push(" IN (SELECT wanted.item FROM ");
        self.push_table(Table::new("wanted").texts("item", texts.into_iter().map(Some)));
        self.push(")")
    }

    /// Ends a SELECT of rows to be deleted, so that two processes at the same work neither wait for each other nor
    /// lock each other out.
    pub(crate) fn push_skip_locked(&mut self) -> &mut Self {
        self.pieces.push(Piece::SkipLocked);
        self
    }

    /// The same after another one, not kept prepared.
    pub(super) fn once_after(mut self, first: &'static str) -> Self {
        self.pieces.insert(0, Piece::Text(first));
        self.once = true;
        self
    }

    /// Runs it; how many rows it changed.
    pub(crate) async fn execute(self, transaction: &mut Transaction) -> Result<u64, StoreError> {
        match transaction {
            Transaction::Sqlite(connection) => self.execute_on_sqlite(connection).await,
            Transaction::Postgres(connection) => self.execute_on_postgres(connection).await,
        }
    }

    /// All its rows.
    pub(crate) async fn all(self, place: impl Into<Place<'_>>) -> Result<Vec<Row>, StoreError> {
        match place.into() {
            Place::Reading(Connections::Sqlite(sqlite)) => {
                self.all_on_sqlite(&mut *sqlite.reader().await?).await
            }
            Place::Reading(Connections::Postgres(postgres)) => {
                self.all_on_postgres(&mut *postgres.connection().await?).await
            }
            Place::In(Transaction::Sqlite(connection)) => self.all_on_sqlite(connection).await,
            Place::In(Transaction::Postgres(connection)) => self.all_on_postgres(connection).await,
        }
    }

    /// The first of its rows, where there is one.
    pub(crate) async fn first(self, place: impl Into<Place<'_>>) -> Result<Option<Row>, StoreError> {
        Ok(self.all(place).await?.into_iter().next())
    }

    /// The row that is always there.
    pub(crate) async fn one(self, place: impl Into<Place<'_>>) -> Result<Row, StoreError> {
        self.first(place).await?.ok_or_else(|| StoreError::damaged("a row that is always there"))
    }

    pub(super) async fn execute_on_sqlite(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<u64, StoreError> {
        let (text, arguments) = self.render::<SqliteArguments>()?;
        let query = sqlx::query_with(text, arguments).persistent(!self.once);
        Ok(query.execute(connection).await?.rows_affected())
    }

    pub(super) async fn execute_on_postgres(self, connection: &mut PgConnection) -> Result<u64, StoreError> {
        let (text, arguments) = self.render::<PgArguments>()?;
        let done = self.patience.wait(sqlx::query_with(text, arguments).execute(connection)).await?;
        Ok(done.rows_affected())
    }

    async fn all_on_sqlite(self, connection: &mut SqliteConnection) -> Result<Vec<Row>, StoreError> {
        let (text, arguments) = self.render::<SqliteArguments>()?;
        let rows = sqlx::query_with(text, arguments).fetch_all(connection).await?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    async fn all_on_postgres(self, connection: &mut PgConnection) -> Result<Vec<Row>, StoreError> {
        let (text, arguments) = self.render::<PgArguments>()?;
        let rows = self.patience.wait(sqlx::query_with(text, arguments).fetch_all(connection)).await?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// Its text and values for one database.
    fn render<A: Dialect>(&self) -> Result<(SqlStr, A), StoreError> {
        let mut arguments = A::default();
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Named(value) => arguments.add_value(value).map_err(sqlx::Error::Encode)?,
                Piece::Value(value) => {
                    arguments.add_value(value).map_err(sqlx::Error::Encode)?;
                    push_parameter(&mut text, arguments.len());
                }
                Piece::Table(table) => arguments.add_table(table, &mut text).map_err(sqlx::Error::Encode)?,
                Piece::SkipLocked => text.push_str(A::SKIP_LOCKED),
            }
        }
        // Only texts of this crate and numbers of parameters are in it.
        Ok((AssertSqlSafe(text).into_sql_str(), arguments))
    }
}

pub(super) fn push_parameter(text: &mut String, number: usize) {
    text.push('$');
    text.push_str(&number.to_string());
}

/// What differs in text and values.
pub(super) trait Dialect: Arguments {
    const SKIP_LOCKED: &'static str;

    /// Adds a value.
    fn add_value(&mut self, value: &Value<'_>) -> Result<(), BoxDynError>;

    /// Adds the values of `table`, and appends it to the statement's text.
    fn add_table(&mut self, table: &Table<'_>, text: &mut String) -> Result<(), BoxDynError>;
}

impl Dialect for SqliteArguments {
    const SKIP_LOCKED: &'static str = "";

    fn add_value(&mut self, value: &Value<'_>) -> Result<(), BoxDynError> {
        value.add_to(self)
    }

    fn add_table(&mut self, table: &Table<'_>, text: &mut String) -> Result<(), BoxDynError> {
        table.add_to_sqlite(text, self)
    }
}

impl Dialect for PgArguments {
    const SKIP_LOCKED: &'static str = " FOR UPDATE SKIP LOCKED";

    fn add_value(&mut self, value: &Value<'_>) -> Result<(), BoxDynError> {
        value.add_to(self)
    }

    fn add_table(&mut self, table: &Table<'_>, text: &mut String) -> Result<(), BoxDynError> {
        table.add_to_postgres(text, self)
    }
}

impl Value<'_> {
    fn add_to<A: Arguments>(&self, arguments: &mut A) -> Result<(), BoxDynError>
    where
        for<'t> Option<&'t str>: Encode<'t, A::Database> + Type<A::Database>,
        for<'t> &'t [u8]: Encode<'t, A::Database> + Type<A::Database>,
        for<'t> Option<i64>: Encode<'t, A::Database> + Type<A::Database>,
        for<'t> Option<f64>: Encode<'t, A::Database> + Type<A::Database>,
        for<'t> bool: Encode<'t, A::Database> + Type<A::Database>,
    {
        match self {
            Self::Text(text) => arguments.add(text.as_deref().map(|text| storable(text.into())).as_deref()),
            Self::Integer(integer) => arguments.add(*integer),
            Self::Number(number) => arguments.add(*number),
            Self::Boolean(boolean) => arguments.add(*boolean),
            Self::Bytes(bytes) => arguments.add(&**bytes),
        }
    }
}

/// `text` without NUL.
pub(super) fn storable(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text,
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(text: &'q String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text.map(Cow::from))
    }
}

impl From<i64> for Value<'_> {
    fn from(integer: i64) -> Self {
        Self::Integer(Some(integer))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(integer: Option<i64>) -> Self {
        Self::Integer(integer)
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'c> From<&'c std::sync::Arc<Connections>> for Place<'c> {
    fn from(connections: &'c std::sync::Arc<Connections>) -> Self {
        Self::Reading(connections)
    }
}

impl<'c> From<&'c mut Transaction> for Place<'c> {
    fn from(transaction: &'c mut Transaction) -> Self {
        Self::In(transaction)
    }
}
