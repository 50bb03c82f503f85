//! `CREATE DATABASE`, option by option: those that say how text is kept and ordered are taken over.

use super::super::notes::{DATABASE_PROPERTIES, TABLESPACES};
use super::GivenServerPolicy;
use crate::error::{Failure, FailureKind, Result};
use crate::restore::policy::Context;
use crate::sql::name::{quote_identifier, quote_literal};
use crate::sql::token::Tokens;

impl GivenServerPolicy {
    /// `CREATE DATABASE` with the options that say how text is kept and ordered, and its owner.
    pub(super) fn creation(&self, name: &str, context: Context<'_>) -> Result<String> {
        let mut tokens = Tokens::new(context.text.as_bytes());
        tokens.keywords(&["create", "database"]);
        tokens.next();
        tokens.keyword("with");
        let mut text = format!(
            "CREATE DATABASE {} WITH TEMPLATE = template0",
            quote_identifier(name)
        );
        loop {
            if tokens.at_end() || tokens.peek().is_none() {
                text.push(';');
                return Ok(text);
            }
            let option = tokens.next().and_then(|token| token.identifier());
            let option = option.ok_or_else(|| context.outside())?;
            // CONNECTION LIMIT is two words.
            if option == "connection" {
                tokens.keyword("limit");
            }
            tokens.symbol(b'=');
            let negative = tokens.symbol(b'-');
            let value = tokens.next().ok_or_else(|| context.outside())?;
            match option.as_str() {
                "encoding" | "lc_collate" | "lc_ctype" | "locale" | "locale_provider"
                | "icu_locale" | "icu_rules" | "builtin_locale" => {
                    let value = value.literal().or_else(|| value.identifier());
                    let value = value
                        .filter(|_| !negative)
                        .ok_or_else(|| context.outside())?;
                    let value = quote_literal(&value);
                    text.push_str(&format!(" {} = {value}", option.to_uppercase()));
                }
                "owner" => {
                    let role = value.identifier().and_then(|name| self.role(&name));
                    let role = role.ok_or_else(|| context.outside())?;
                    text.push_str(&format!(" OWNER = {}", quote_identifier(&role)));
                }
                "tablespace" => self.note(TABLESPACES),
                "template" | "strategy" => {}
                "connection" | "is_template" | "allow_connections" | "collation_version"
                | "oid" => {
                    self.note(DATABASE_PROPERTIES);
                }
                other => {
                    // Of a version of PostgreSQL that is newer than this program, perhaps.
                    let what = format!(
                        "restore: {}: CREATE DATABASE with option {other}, which is not known here",
                        context.at
                    );
                    return Err(
                        Failure::new(FailureKind::Scratch, what).remedy("use embedded scratch")
                    );
                }
            }
        }
    }
}
