//! Who granted a membership, on a server whose bootstrap superuser has another name.
//!
//! From PostgreSQL 16 on, a membership's grantor must hold ADMIN OPTION on the role, or be the bootstrap superuser, and
//! pg_dumpall writes the grantor down and the grants in an order that makes this hold. So a grantor that was not given
//! ADMIN OPTION before is the bootstrap superuser of the server that was dumped; on a scratch server that is an ordinary
//! role, and its part falls to the scratch server's own.

use std::collections::HashSet;

use crate::sql::name::quote_as_pg_dump;
use crate::sql::token::Tokens;

/// First major version with that rule.
pub(super) const SINCE: u32 = 16;

/// Follows the grants of ADMIN OPTION.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    /// (role, member with ADMIN OPTION)
    admins: HashSet<(String, String)>,
}

impl Memberships {
    /// Reads a statement; gives it rewritten if it is a membership granted by the other server's bootstrap superuser.
    pub(super) fn rewrite(&mut self, text: &str, bootstrap: &str) -> Option<String> {
        let mut tokens = Tokens::new(text.as_bytes());
        if !tokens.keyword("grant") {
            return None;
        }
        let role = tokens.next()?.identifier()?;
        // GRANT privilege ON … is no membership.
        if !tokens.keyword("to") {
            return None;
        }
        let member = tokens.next()?.identifier()?;
        let mut admin = false;
        while !tokens.keywords(&["granted", "by"]) {
            let token = tokens.next()?;
            admin |= token.is("admin");
        }
        let before = text.get(..tokens.offset())?.to_owned();
        let grantor = tokens.next()?.identifier()?;
        let known = self.admins.contains(&(role.clone(), grantor));
        if admin {
            self.admins.insert((role, member));
        }
        (!known).then(|| format!("{before} {};", quote_as_pg_dump(bootstrap)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bootstrap_superuser_is_replaced() {
        let mut memberships = Memberships::default();
        let mut rewrite = |text: &str| memberships.rewrite(text, "boss");
        assert_eq!(
            rewrite("GRANT app TO \"Lead\" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres;")
                .as_deref(),
            Some("GRANT app TO \"Lead\" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY boss;")
        );
        assert_eq!(
            rewrite("GRANT app TO intern WITH INHERIT TRUE GRANTED BY \"Lead\";"),
            None
        );
        assert_eq!(rewrite("GRANT SELECT ON TABLE t TO app;"), None);
        assert_eq!(rewrite("GRANT app TO intern;"), None);
    }
}
