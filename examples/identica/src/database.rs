//! The database: PostgreSQL if one was given, otherwise a table in this process.

use crate::notices::{Notice, PAGE};
use crate::servers::{IN_PROCESS, Postgres, peer, reach};

/// What the site asks.
#[derive(Clone, Copy)]
pub(crate) enum Query<'a> {
    /// The notice with this id.
    One(u64),
    Newest,
    By(&'a str),
    /// Those that have all of these words.
    With(&'a [&'a str]),
}

impl Query<'_> {
    /// As the server is asked, and as a report shows it, without the parameters.
    pub(crate) fn statement(&self) -> &'static str {
        match self {
            Self::One(_) => "SELECT id, author, text FROM identica_notice WHERE id = $1",
            Self::Newest => {
                "SELECT id, author, text FROM identica_notice ORDER BY id DESC LIMIT 20"
            }
            Self::By(_) => {
                "SELECT id, author, text FROM identica_notice WHERE author = $1 ORDER BY id DESC LIMIT 20"
            }
            Self::With(_) => {
                "SELECT id, author, text FROM identica_notice WHERE NOT EXISTS \
                 (SELECT FROM unnest($1) word WHERE strpos(text, word) = 0) ORDER BY id DESC LIMIT 20"
            }
        }
    }
}

pub(crate) struct Database {
    kind: &'static str,
    peer: String,
    backend: Backend,
}

enum Backend {
    Table(Vec<Notice>),
    Postgres(Postgres),
}

impl Database {
    /// With these notices in it.
    pub(crate) async fn open(url: Option<&str>, notices: Vec<Notice>) -> std::io::Result<Self> {
        Ok(match url {
            None => Self {
                kind: "database",
                peer: IN_PROCESS.to_owned(),
                backend: Backend::Table(notices),
            },
            Some(url) => Self {
                kind: "postgres",
                peer: peer(url).to_owned(),
                backend: Backend::Postgres(reach(url, Postgres::connect(url, &notices)).await?),
            },
        })
    }

    /// Asks within the guard: while there is no answer, reports say what was asked, and whom.
    pub(crate) async fn ask(&self, query: Query<'_>) -> std::io::Result<Vec<Notice>> {
        redhanded::outbound(self.kind, self.peer.as_str())
            .statement(query.statement())
            .try_run(self.backend.ask(query))
            .await
    }
}

impl Backend {
    async fn ask(&self, query: Query<'_>) -> std::io::Result<Vec<Notice>> {
        match self {
            Self::Table(notices) => Ok(select(notices, query)),
            Self::Postgres(postgres) => postgres.ask(query).await,
        }
    }
}

/// What PostgreSQL would answer.
fn select(notices: &[Notice], query: Query<'_>) -> Vec<Notice> {
    if let Query::One(id) = query {
        let found = usize::try_from(id).ok().and_then(|at| notices.get(at));
        return found.cloned().into_iter().collect();
    }
    let wanted = |notice: &&Notice| match query {
        Query::By(author) => notice.author == author,
        Query::With(words) => words.iter().all(|word| notice.text.contains(word)),
        Query::One(_) | Query::Newest => true,
    };
    let newest = notices.iter().rev();
    newest.filter(wanted).take(PAGE).cloned().collect()
}
