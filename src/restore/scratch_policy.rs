//! Into a server that is only there for the restore: everything is run, as far as it can be on another machine.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::memberships::Memberships;
use super::policy::{Context, Policy, Verdict};
use crate::error::Result;
use crate::sql::name::quote_literal;
use crate::sql::reach::Reach;
use crate::sql::statement::Statement;

/// Gives directories for tablespaces.
pub(super) type Directories<'a> = Mutex<&'a mut (dyn FnMut() -> Result<PathBuf> + Send)>;

/// See the module.
pub(super) struct ScratchPolicy<'a> {
    /// In place of those that the dump names, which are another machine's.
    pub(super) tablespaces: Directories<'a>,
    /// Where the server is of a version that checks who granted a membership.
    pub(super) memberships: Option<Mutex<Memberships>>,
    /// The server's own superuser.
    pub(super) superuser: String,
    /// The only database that is restored; none: all of them.
    pub(super) only: Option<String>,
}

impl Policy for ScratchPolicy<'_> {
    fn database(&self, name: &str) -> Option<String> {
        let wanted = self.only.as_ref().is_none_or(|only| only == name);
        wanted.then(|| name.to_owned())
    }

    fn judge(&self, context: Context<'_>) -> Result<Verdict> {
        if let (Some(only), Reach::Database(other)) = (&self.only, context.reach)
            && *only != other.name
        {
            return Ok(Verdict::Skip);
        }
        Ok(match context.statement {
            Statement::CreateTablespace { location, .. } => {
                let mut make = self
                    .tablespaces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let directory = make()?;
                Verdict::Instead(context.text.replace(
                    &quote_literal(location),
                    &quote_literal(&directory.to_string_lossy()),
                ))
            }
            // A dump made without --if-exists drops what an empty server does not have.
            Statement::DropGlobal(kind) => Verdict::Instead(if_exists(context.text, kind)),
            Statement::Privilege => self
                .memberships
                .as_ref()
                .and_then(|memberships| {
                    memberships
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .rewrite(context.text, &self.superuser)
                })
                .map_or(Verdict::Run, Verdict::Instead),
            _ => Verdict::Run,
        })
    }
}

/// `DROP DATABASE IF EXISTS …` of `DROP DATABASE …`.
fn if_exists(text: &str, kind: &str) -> String {
    match text.get(..kind.len()) {
        Some(begin)
            if begin.eq_ignore_ascii_case(kind)
                && !text.to_ascii_lowercase().contains(" if exists ") =>
        {
            format!(
                "{kind} IF EXISTS{}",
                text.get(kind.len()..).unwrap_or_default()
            )
        }
        _ => text.to_owned(),
    }
}
