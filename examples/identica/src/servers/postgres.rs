//! PostgreSQL, asked through `tokio-postgres`.

use crate::database::Query;
use crate::notices::Notice;
use std::io::Error;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS identica_notice \
     (id bigint PRIMARY KEY, author text NOT NULL, text text NOT NULL)";

const FILL: &str = "INSERT INTO identica_notice SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) \
     ON CONFLICT DO NOTHING";

pub(crate) struct Postgres(Client);

impl Postgres {
    /// Connects, and fills the table where it is not yet.
    pub(crate) async fn connect(url: &str, notices: &[Notice]) -> std::io::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .map_err(Error::other)?;
        // All requests share this connection, and this task drives it: who waits for an answer waits
        // for the task and not for a socket, so nothing but the guard knows for which host. Its end
        // is told to everybody who waits.
        tokio::spawn(connection);
        let ids: Vec<i64> = notices.iter().map(|n| n.id.cast_signed()).collect();
        let authors: Vec<&str> = notices.iter().map(|n| n.author.as_str()).collect();
        let texts: Vec<&str> = notices.iter().map(|n| n.text.as_str()).collect();
        let fill = async {
            client.batch_execute(TABLE).await?;
            client.execute(FILL, &[&ids, &authors, &texts]).await
        };
        fill.await.map_err(Error::other)?;
        Ok(Self(client))
    }

    pub(crate) async fn ask(&self, query: Query<'_>) -> std::io::Result<Vec<Notice>> {
        let id;
        let params: &[(&(dyn ToSql + Sync), Type)] = match &query {
            Query::One(wanted) => {
                id = wanted.cast_signed();
                &[(&id, Type::INT8)]
            }
            Query::Newest => &[],
            Query::By(author) => &[(author, Type::TEXT)],
            Query::With(words) => &[(words, Type::TEXT_ARRAY)],
        };
        // One round trip: the types are given, so nothing has to be prepared.
        let rows = self.0.query_typed(query.statement(), params).await;
        let rows = rows.map_err(Error::other)?;
        rows.iter()
            .map(notice)
            .collect::<Result<_, _>>()
            .map_err(Error::other)
    }
}

fn notice(row: &Row) -> Result<Notice, tokio_postgres::Error> {
    Ok(Notice {
        id: row.try_get::<_, i64>(0)?.cast_unsigned(),
        author: row.try_get(1)?,
        text: row.try_get(2)?,
    })
}
