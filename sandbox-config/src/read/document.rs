//! The keys of the format: from a tree to what it says, or to a mistake at its place.

use super::mistake::Mistake;
use super::node::{Node, Value};
use super::source::Format;
use super::template::{Variables, check_name};
use crate::MOST_PATHS;
use crate::config::Config;
use crate::nearest;
use crate::rights::{Kind, NEWEST_ABI};
use std::path::PathBuf;

/// A key, as TOML and as JSON have it.
type Key = (&'static str, &'static str);

const ABI: Key = ("abi", "abi");
const VARIABLE: Key = ("variable", "variable");
const NAME: Key = ("name", "name");
const LITERAL: Key = ("literal", "literal");
const RULESET: Key = ("ruleset", "ruleset");
const HANDLED_FILES: Key = ("handled_access_fs", "handledAccessFs");
const HANDLED_NET: Key = ("handled_access_net", "handledAccessNet");
const SCOPED: Key = ("scoped", "scoped");
const PATH_BENEATH: Key = ("path_beneath", "pathBeneath");
const NET_PORT: Key = ("net_port", "netPort");
const ALLOWED: Key = ("allowed_access", "allowedAccess");
const PARENT: Key = ("parent", "parent");
const PORT: Key = ("port", "port");

/// One file: its variables, and its rules, which may need those of other files.
pub(crate) struct Document<'i> {
    root: Node<'i>,
    format: Format,
    abi: Option<u32>,
    pub(crate) variables: Variables,
}

impl<'i> Document<'i> {
    pub(crate) fn of(root: Node<'i>, format: Format) -> Result<Document<'i>, Mistake> {
        let fields = Fields::of(&root, format, &[ABI, VARIABLE, RULESET, PATH_BENEATH, NET_PORT])?;
        let abi = fields.get(ABI).map(abi).transpose()?;
        if [VARIABLE, RULESET, PATH_BENEATH, NET_PORT].iter().all(|key| fields.get(*key).is_none()) {
            let keys = [RULESET, PATH_BENEATH, NET_PORT].map(|key| format!("`{}`", format.word(key)));
            return Err(root.mistake(format!("empty: none of {} is there", keys.join(", "))));
        }
        let mut variables = Variables::default();
        for variable in fields.list(VARIABLE)? {
            let fields = Fields::of(variable, format, &[NAME, LITERAL])?;
            let name = fields.need(NAME)?;
            let name_text = text(name, "a name")?;
            check_name(name_text).map_err(|message| name.mistake(message))?;
            let values: Vec<&str> =
                fields.list(LITERAL)?.iter().map(|value| text(value, "text")).collect::<Result<_, _>>()?;
            variables.add(name_text, values.into_iter().map(str::to_owned));
        }
        Ok(Document { root, format, abi, variables })
    }

    /// What the file says, with these variables. What it grants it handles, too.
    pub(crate) fn config(&self, variables: &Variables) -> Result<Config, Mistake> {
        let fields = Fields { node: &self.root, format: self.format };
        let mut config = Config::default();
        for ruleset in fields.list(RULESET)? {
            let fields = Fields::of(ruleset, self.format, &[HANDLED_FILES, HANDLED_NET, SCOPED])?;
            if fields.is_empty() {
                return Err(ruleset.mistake("an empty `ruleset`; leave it out"));
            }
            config.handled_files |= self.rights(&fields, HANDLED_FILES, Kind::Files)?;
            config.handled_net |= self.rights(&fields, HANDLED_NET, Kind::Net)?;
            config.scoped |= self.rights(&fields, SCOPED, Kind::Scopes)?;
        }
        let mut most = MOST_PATHS;
        for rule in fields.list(PATH_BENEATH)? {
            self.path_beneath(rule, variables, &mut most, &mut config)?;
        }
        for rule in fields.list(NET_PORT)? {
            self.net_port(rule, &mut config)?;
        }
        Ok(config)
    }

    /// `most` is how many paths there may be yet. Repeated ones count: they take as long.
    fn path_beneath(
        &self,
        rule: &Node,
        variables: &Variables,
        most: &mut usize,
        config: &mut Config,
    ) -> Result<(), Mistake> {
        let fields = Fields::of(rule, self.format, &[ALLOWED, PARENT])?;
        fields.need(ALLOWED)?;
        fields.need(PARENT)?;
        let rights = self.rights(&fields, ALLOWED, Kind::Files)?;
        config.handled_files |= rights;
        for parent in fields.list(PARENT)? {
            let template = text(parent, "a path")?;
            let paths = variables.paths(template, *most).map_err(|message| parent.mistake(message))?;
            *most -= paths.len();
            if template.is_empty() || paths.iter().any(String::is_empty) {
                return Err(parent.mistake("an empty path"));
            }
            if paths.iter().any(|path| path.contains('\0')) {
                return Err(parent.mistake("a path cannot contain a zero byte"));
            }
            // A group can be empty for the file's ABI, and then grants nothing.
            for path in paths.into_iter().filter(|_| rights != 0) {
                *config.paths.entry(PathBuf::from(path)).or_default() |= rights;
            }
        }
        Ok(())
    }

    fn net_port(&self, rule: &Node, config: &mut Config) -> Result<(), Mistake> {
        let fields = Fields::of(rule, self.format, &[ALLOWED, PORT])?;
        fields.need(ALLOWED)?;
        fields.need(PORT)?;
        let rights = self.rights(&fields, ALLOWED, Kind::Net)?;
        config.handled_net |= rights;
        for port in fields.list(PORT)? {
            let number = match port.value {
                Value::Number(_, Some(number)) => u16::try_from(number).ok(),
                _ => None,
            };
            let wrong =
                || port.mistake(format!("a port is a number from 0 to 65535, found {}", port.shown()));
            let number = number.ok_or_else(wrong)?;
            if rights != 0 {
                *config.ports.entry(number).or_default() |= rights;
            }
        }
        Ok(())
    }

    fn rights(&self, fields: &Fields, key: Key, kind: Kind) -> Result<u64, Mistake> {
        fields.list(key)?.iter().try_fold(0, |rights, node| {
            let word = text(node, "the name of a right")?;
            kind.bits(word, self.abi).map(|bits| rights | bits).map_err(|message| node.mistake(message))
        })
    }
}

/// From 1 to 2^31 - 1. One that is not known yet means the newest that is.
fn abi(node: &Node) -> Result<u32, Mistake> {
    match node.value {
        Value::Number(_, Some(abi @ 1..=0x7fff_ffff)) => Ok(abi.min(NEWEST_ABI.into()) as u32),
        _ => {
            let message = format!("`abi` is a number from 1 to 2147483647, found {}", node.shown());
            Err(node.mistake(message))
        }
    }
}

fn text<'n>(node: &'n Node, what: &str) -> Result<&'n str, Mistake> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(node.mistake(format!("expected {what} in quotes, found {}", node.shown()))),
    }
}

/// The entries of a table of which all keys are known and none is repeated.
struct Fields<'n, 'i> {
    node: &'n Node<'i>,
    format: Format,
}

impl<'n, 'i> Fields<'n, 'i> {
    fn of(node: &'n Node<'i>, format: Format, keys: &[Key]) -> Result<Fields<'n, 'i>, Mistake> {
        let Value::Table(entries) = &node.value else {
            return Err(node.mistake(format!("expected a table, found {}", node.shown())));
        };
        let words: Vec<&str> = keys.iter().map(|key| format.word(*key)).collect();
        for (index, (key, _)) in entries.iter().enumerate() {
            let name = key.name.escape_debug();
            if !words.contains(&&*key.name) {
                let meant = match nearest(&key.name, words.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it is one of {}", words.join(", ")),
                };
                return Err(Mistake::new(key.at, format!("unknown key `{name}`; {meant}")));
            }
            if entries[..index].iter().any(|(other, _)| other.name == key.name) {
                return Err(Mistake::new(key.at, format!("duplicate key `{name}`")));
            }
        }
        Ok(Fields { node, format })
    }

    fn entries(&self) -> impl Iterator<Item = (&'n str, &'n Node<'i>)> + use<'n, 'i> {
        let entries = if let Value::Table(entries) = &self.node.value { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, value)| (&*key.name, value))
    }

    fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    fn get(&self, key: Key) -> Option<&'n Node<'i>> {
        self.entries().find(|(name, _)| *name == self.format.word(key)).map(|(_, value)| value)
    }

    fn need(&self, key: Key) -> Result<&'n Node<'i>, Mistake> {
        self.get(key).ok_or_else(|| self.node.mistake(format!("`{}` is missing", self.format.word(key))))
    }

    /// The elements of a list, which has at least one; none where the key is not there.
    fn list(&self, key: Key) -> Result<&'n [Node<'i>], Mistake> {
        let Some(node) = self.get(key) else { return Ok(&[]) };
        let word = self.format.word(key);
        match &node.value {
            Value::List(list) if list.is_empty() => {
                Err(node.mistake(format!("`{word}` has an empty list; leave it out")))
            }
            Value::List(list) => Ok(list),
            _ => Err(node.mistake(format!("`{word}` takes a list, found {}", node.shown()))),
        }
    }
}

impl Format {
    fn word(self, (toml, json): Key) -> &'static str {
        match self {
            Format::Toml => toml,
            Format::Json => json,
        }
    }
}
