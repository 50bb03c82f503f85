//! Locales that a dump names and this machine may lack, and what serves instead.
//!
//! A database's locale decides how text sorts and what is a letter. No row reads otherwise without it, so a scratch server
//! can do without; what depends on it (order, uniqueness under an ICU collation, patterns) is then not proven.

use super::version::Version;
use crate::sql::token::Tokens;

/// First major version whose own provider knows letters beyond ASCII.
const BUILTIN_SINCE: u32 = 17;

/// A `CREATE DATABASE` without the locale that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// The database.
    pub database: String,
    /// The locales that it asks for.
    pub wanted: Vec<String>,
    /// Statements to try in turn, each with the locale's name.
    pub attempts: Vec<(String, &'static str)>,
}

/// Options of `CREATE DATABASE` that serve on any machine, best first, with the locale's name.
pub fn anywhere(version: Version, encoding: &str) -> Vec<(&'static str, &'static str)> {
    let mut options = Vec::new();
    if encoding.eq_ignore_ascii_case("UTF8") {
        if version.major >= BUILTIN_SINCE {
            let builtin = "LOCALE_PROVIDER = builtin BUILTIN_LOCALE = 'C.UTF-8' LOCALE = 'C'";
            options.push((builtin, "C.UTF-8"));
        }
        // Not everywhere, but most systems have it, and patterns know letters beyond ASCII with it.
        options.push(("LC_COLLATE = 'C' LC_CTYPE = 'C.UTF-8'", "C"));
    }
    let provider = if version.major >= 15 {
        "LOCALE_PROVIDER = libc LC_COLLATE = 'C' LC_CTYPE = 'C'"
    } else {
        "LC_COLLATE = 'C' LC_CTYPE = 'C'"
    };
    options.push((provider, "C"));
    options
}

/// Takes a `CREATE DATABASE` as pg_dump writes it apart; none where it names no locale.
pub fn instead(statement: &str, version: Version) -> Option<Instead> {
    let mut tokens = Tokens::new(statement.as_bytes());
    if !tokens.keywords(&["create", "database"]) {
        return None;
    }
    let database = tokens.next()?.identifier()?;
    let head = statement.get(..tokens.offset())?;
    tokens.keyword("with");
    let (mut kept, mut icu, mut wanted, mut encoding) =
        (String::new(), String::new(), Vec::new(), String::new());
    while !tokens.at_end() {
        let from = tokens.offset();
        let key = tokens.next()?.identifier()?;
        tokens.symbol(b'=');
        let value = tokens.next()?;
        let value = value.literal().or_else(|| value.identifier())?;
        let option = statement.get(from..tokens.offset())?;
        match key.as_str() {
            "locale" | "lc_collate" | "lc_ctype" | "builtin_locale" => wanted.push(value),
            "icu_locale" => {
                wanted.push(value);
                icu.push_str(option);
            }
            "icu_rules" => icu.push_str(option),
            "locale_provider" | "collation_version" | "strategy" => {}
            "encoding" => {
                kept.push_str(option);
                encoding = value;
            }
            _ => kept.push_str(option),
        }
    }
    if wanted.is_empty() {
        return None;
    }
    wanted.dedup();
    let statement = |options: &str| format!("{head} WITH{kept} {options};");
    let mut attempts = Vec::new();
    if !icu.is_empty() {
        // ICU's own locales need nothing of this machine's.
        let options = format!("LOCALE_PROVIDER = icu{icu} LC_COLLATE = 'C' LC_CTYPE = 'C'");
        attempts.push((statement(&options), "its ICU locale, and C beside it,"));
    }
    for (options, name) in anywhere(version, &encoding) {
        attempts.push((statement(options), name));
    }
    Some(Instead {
        database,
        wanted,
        attempts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIFTEEN: Version = Version {
        major: 15,
        minor: 0,
    };

    fn texts(statement: &str, major: u32) -> Vec<String> {
        let found = instead(statement, Version { major, minor: 0 }).expect("a locale");
        found.attempts.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn everything_but_the_locale_stays() {
        let latin = "CREATE DATABASE \"we ird\" WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE.ISO-8859-1' TABLESPACE = \"Els where\";";
        assert_eq!(
            texts(latin, 15),
            [
                "CREATE DATABASE \"we ird\" WITH TEMPLATE = template0 ENCODING = 'LATIN1' TABLESPACE = \"Els where\" LOCALE_PROVIDER = libc LC_COLLATE = 'C' LC_CTYPE = 'C';"
            ]
        );
        let found = instead(latin, FIFTEEN).expect("a locale");
        assert_eq!(found.database, "we ird");
        assert_eq!(found.wanted, ["de_DE.ISO-8859-1"]);
    }

    #[test]
    fn letters_beyond_ascii_where_that_can_be() {
        let utf8 = "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'x';";
        let first = &texts(utf8, 18)[0];
        assert!(first.contains("BUILTIN_LOCALE = 'C.UTF-8'"), "{first}");
        let first = &texts(utf8, 15)[0];
        assert!(first.contains("LC_CTYPE = 'C.UTF-8'"), "{first}");
    }

    #[test]
    fn icu_is_kept() {
        let icu = "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'x' ICU_LOCALE = 'de';";
        let first = &texts(icu, 16)[0];
        assert!(
            first.contains("icu ICU_LOCALE = 'de' LC_COLLATE = 'C'"),
            "{first}"
        );
    }

    #[test]
    fn no_locale_no_other_way() {
        assert_eq!(
            instead("CREATE DATABASE d WITH TEMPLATE = template0;", FIFTEEN),
            None
        );
        assert_eq!(instead("CREATE TABLE d (a integer);", FIFTEEN), None);
    }
}
