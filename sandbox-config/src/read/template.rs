//! Paths with variables: `/home/${user}` stands for a path for each value.

use crate::write::{LONGEST_PATH, MOST_PATHS};
use std::collections::{BTreeMap, BTreeSet};

/// The values of each variable. Values are taken as they are: a variable in one is no variable.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, BTreeSet<String>>);

impl Variables {
    /// Adds values; a variable may also have none, and then what it is in stands for no path.
    pub(crate) fn add(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.0.entry(name.to_owned()).or_default().extend(values);
    }

    pub(crate) fn extend(&mut self, other: &Variables) {
        for (name, values) in &other.0 {
            self.add(name, values.iter().cloned());
        }
    }

    /// Every path that a template stands for, `most` of them at the most.
    pub(crate) fn paths(&self, template: &str, most: usize) -> Result<Vec<String>, String> {
        let tokens = tokens(template)?;
        // Counted before values are put together or only listed.
        let mut count = Some(1usize);
        for token in &tokens {
            if let Token::Variable(name) = token {
                let values = self.values(name)?.len();
                count = count.and_then(|count| count.checked_mul(values));
            }
        }
        match count {
            Some(0) => return Ok(Vec::new()),
            Some(count) if count <= most => {}
            _ => return Err(format!("with this, the file grants more than {MOST_PATHS} paths")),
        }
        let mut parts: Vec<Vec<&str>> = Vec::new();
        for token in tokens {
            parts.push(match token {
                Token::Text(text) => vec![text],
                Token::Variable(name) => self.values(name)?.iter().map(String::as_str).collect(),
            });
        }
        let longest: usize = parts.iter().filter_map(|part| part.iter().map(|text| text.len()).max()).sum();
        if longest > LONGEST_PATH {
            return Err(format!("a path has at most {LONGEST_PATH} bytes"));
        }
        let start = vec![String::new()];
        Ok(parts.into_iter().fold(start, |paths, part| {
            paths.iter().flat_map(|path| part.iter().map(move |text| format!("{path}{text}"))).collect()
        }))
    }

    fn values(&self, name: &str) -> Result<&BTreeSet<String>, String> {
        self.0.get(name).ok_or_else(|| {
            let meant = crate::nearest(name, self.0.keys().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean `${{{meant}}}`?")).unwrap_or_default();
            format!("no variable is named `{name}`{meant}")
        })
    }
}

/// Checks the name of a variable.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    let name = name.escape_debug();
    Err(format!("a variable's name is a letter, then letters, digits and `_` (all ASCII), found `{name}`"))
}

#[derive(Debug, PartialEq)]
enum Token<'t> {
    Text(&'t str),
    Variable(&'t str),
}

/// `$$` is a dollar sign, `${name}` a variable, and any other dollar sign itself.
fn tokens(template: &str) -> Result<Vec<Token<'_>>, String> {
    let (mut tokens, mut rest) = (Vec::new(), template);
    while let Some(dollar) = rest.find('$') {
        let (text, behind) = (&rest[..dollar], &rest[dollar + 1..]);
        if let Some(behind) = behind.strip_prefix('$') {
            tokens.push(Token::Text(&rest[..=dollar]));
            rest = behind;
        } else if let Some(behind) = behind.strip_prefix('{') {
            let unclosed = || format!("`${{` has no `}}` behind it in `{}`", template.escape_debug());
            let (name, behind) = behind.split_once('}').ok_or_else(unclosed)?;
            check_name(name)?;
            tokens.extend([Token::Text(text), Token::Variable(name)]);
            rest = behind;
        } else {
            tokens.push(Token::Text(&rest[..=dollar]));
            rest = behind;
        }
    }
    tokens.push(Token::Text(rest));
    tokens.retain(|token| *token != Token::Text(""));
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::escape;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.add("a", ["1".to_owned(), "2".to_owned()]);
        variables.add("b", ["x".to_owned()]);
        variables.add("b", ["y".to_owned()]);
        variables.add("none", []);
        variables
    }

    #[test]
    fn templates_stand_for_every_combination() {
        for (template, expected) in [
            ("/plain", vec!["/plain"]),
            ("/${a}", vec!["/1", "/2"]),
            ("/${a}/${b}/end", vec!["/1/x/end", "/1/y/end", "/2/x/end", "/2/y/end"]),
            ("${a}${a}", vec!["11", "12", "21", "22"]),
            ("/${none}", vec![]),
            ("/${none}/${a}", vec![]),
            ("/$$", vec!["/$"]),
            ("$${a}", vec!["${a}"]),
            ("$$${a}", vec!["$1", "$2"]),
            ("$${${a}", vec!["${1", "${2"]),
            ("{${a}}", vec!["{1}", "{2}"]),
            ("/$x/$", vec!["/$x/$"]),
            ("/é${a}", vec!["/é1", "/é2"]),
        ] {
            assert_eq!(variables().paths(template, 4).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn wrong_templates_say_what_is_wrong() {
        let name = "a variable's name is a letter, then letters, digits and `_` (all ASCII), found ";
        for (template, expected) in [
            ("/${a", "`${` has no `}` behind it in `/${a`".to_owned()),
            ("/${c}", "no variable is named `c`; did you mean `${a}`?".to_owned()),
            ("/${zebra}", "no variable is named `zebra`".to_owned()),
            ("/${}", format!("{name}``")),
            ("/${1a}", format!("{name}`1a`")),
            ("/${a-b}", format!("{name}`a-b`")),
            ("/${é}", format!("{name}`é`")),
            ("${a}${a}${b}", "with this, the file grants more than 10000 paths".to_owned()),
        ] {
            assert_eq!(variables().paths(template, 4).unwrap_err(), expected, "{template}");
        }
        let long = "/".repeat(LONGEST_PATH);
        assert!(variables().paths(&long, 1).is_ok());
        let error = variables().paths(&format!("{long}/"), 1).unwrap_err();
        assert_eq!(error, "a path has at most 4095 bytes");
    }

    #[test]
    fn products_are_counted_before_they_are_made() {
        let mut variables = Variables::default();
        variables.add("v", (0..100).map(|value| value.to_string()));
        for repeated in [3, 20, 10_000] {
            assert!(variables.paths(&"${v}".repeat(repeated), MOST_PATHS).is_err());
        }
        assert_eq!(variables.paths("/${v}/${v}", MOST_PATHS).unwrap().len(), MOST_PATHS);
    }

    #[test]
    fn an_escaped_path_stands_for_itself() {
        for path in ["/a", "$", "$$", "/${a}", "${", "/$a$$b"] {
            assert_eq!(variables().paths(&escape(path), 1).unwrap(), [path]);
        }
    }
}
