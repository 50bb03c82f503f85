//! Which objects a statement of a dump defines: kind and name.
//!
//! Names are written so that the same object has the same name whether it is read from a statement ([`read`]) or from a
//! server's catalogs: identifiers quoted where their letters need it, what lives on a table as `name on schema.table`,
//! functions with their arguments but without defaults. What is not an object by itself (owners, comments, defaults of
//! columns, …) has no name here; `catalog::inventory` keeps such statements as they are.

mod read;
mod signature;

use serde::{Deserialize, Serialize};

pub use read::read;
pub use signature::{arguments, plain};

/// What kind of object. The names are part of the manifest and of the queries in `pg::objects`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A role.
    Role,
    /// That one role is a member of another.
    Membership,
    /// A tablespace.
    Tablespace,
    /// A setting of a database, of a role, or of a role in a database.
    Setting,
    /// A schema.
    Schema,
    /// An extension; its members are not listed.
    Extension,
    /// A procedural language.
    Language,
    /// A table, also a partitioned one.
    Table,
    /// A foreign table.
    ForeignTable,
    /// That a table is a partition of another.
    Partition,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A sequence, also that of an identity column.
    Sequence,
    /// An index that is not a constraint's.
    Index,
    /// A constraint of a table or domain, NOT NULL excepted.
    Constraint,
    /// A trigger.
    Trigger,
    /// A rule, those of views excepted.
    Rule,
    /// A policy.
    Policy,
    /// That row level security is enabled on a table.
    RowSecurity,
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// An aggregate.
    Aggregate,
    /// A type.
    Type,
    /// A domain.
    Domain,
    /// A cast.
    Cast,
    /// An operator.
    Operator,
    /// An operator class.
    OperatorClass,
    /// An operator family.
    OperatorFamily,
    /// A collation.
    Collation,
    /// A conversion.
    Conversion,
    /// A text search configuration.
    TextSearchConfiguration,
    /// A text search dictionary.
    TextSearchDictionary,
    /// A text search parser.
    TextSearchParser,
    /// A text search template.
    TextSearchTemplate,
    /// Extended statistics.
    Statistics,
    /// An event trigger.
    EventTrigger,
    /// A publication.
    Publication,
    /// A subscription.
    Subscription,
    /// A foreign-data wrapper.
    ForeignDataWrapper,
    /// A foreign server.
    Server,
    /// A user mapping.
    UserMapping,
    /// An access method.
    AccessMethod,
    /// A transform.
    Transform,
    /// That a role may do something with an object.
    Grant,
}

impl Kind {
    /// Whether it belongs to no database, wherever the dump writes it.
    pub const fn is_cluster_wide(self) -> bool {
        matches!(
            self,
            Self::Role | Self::Membership | Self::Tablespace | Self::Setting
        )
    }

    /// Its name in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Membership => "membership",
            Self::Tablespace => "tablespace",
            Self::Setting => "setting",
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Language => "language",
            Self::Table => "table",
            Self::ForeignTable => "foreign table",
            Self::Partition => "partition",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
            Self::Index => "index",
            Self::Constraint => "constraint",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
            Self::Policy => "policy",
            Self::RowSecurity => "row level security of",
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Aggregate => "aggregate",
            Self::Type => "type",
            Self::Domain => "domain",
            Self::Cast => "cast",
            Self::Operator => "operator",
            Self::OperatorClass => "operator class",
            Self::OperatorFamily => "operator family",
            Self::Collation => "collation",
            Self::Conversion => "conversion",
            Self::TextSearchConfiguration => "text search configuration",
            Self::TextSearchDictionary => "text search dictionary",
            Self::TextSearchParser => "text search parser",
            Self::TextSearchTemplate => "text search template",
            Self::Statistics => "statistics",
            Self::EventTrigger => "event trigger",
            Self::Publication => "publication",
            Self::Subscription => "subscription",
            Self::ForeignDataWrapper => "foreign-data wrapper",
            Self::Server => "foreign server",
            Self::UserMapping => "user mapping",
            Self::AccessMethod => "access method",
            Self::Transform => "transform",
            Self::Grant => "grant to",
        }
    }
}

impl Kind {
    /// What several of it are called, before their number.
    pub fn counted(self) -> String {
        match self {
            Self::Grant => "grants".to_owned(),
            Self::RowSecurity => "row level security".to_owned(),
            Self::Statistics => "statistics".to_owned(),
            Self::Index => "indexes".to_owned(),
            Self::Policy => "policies".to_owned(),
            Self::OperatorClass => "operator classes".to_owned(),
            Self::OperatorFamily => "operator families".to_owned(),
            Self::TextSearchDictionary => "text search dictionaries".to_owned(),
            other => format!("{}s", other.words()),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// An object by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name, as the module's doc says.
    pub name: String,
}

impl Object {
    /// An object of this kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
