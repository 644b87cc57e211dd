//! Policies from files of the landlockconfig format.

use super::Policy;
use crate::Error;
use sandboxed_config::{Format, PolicyFileError, Source};
use std::path::Path;

impl Policy {
    /// Reads a policy from a file of the format of [landlockconfig], TOML or JSON by its extension.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sandboxed_runtime as sandboxed;
    /// use sandboxed::Policy;
    /// # let dir = std::env::temp_dir().join(format!("sandboxed-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir)?;
    /// # let path = dir.join("site.toml");
    /// std::fs::write(&path, r#"
    ///     abi = 6
    ///
    ///     [[variable]]
    ///     name = "site"
    ///     literal = ["blue", "green"]
    ///
    ///     [[ruleset]]
    ///     handled_access_fs = ["abi.all"]
    ///     handled_access_net = ["abi.all"]
    ///     scoped = ["abi.all"]
    ///
    ///     [[path_beneath]]
    ///     allowed_access = ["read_file", "read_dir"]
    ///     parent = ["/srv/${site}"]
    ///
    ///     [[net_port]]
    ///     allowed_access = ["bind_tcp"]
    ///     port = [8080]
    /// "#)?;
    /// let policy = Policy::from_file(&path)?;
    /// let same = r#"read = [optional("/srv/blue"), optional("/srv/green")], tcp_bind = 8080"#;
    /// assert_eq!(policy.to_string(), same);
    /// # std::fs::remove_dir_all(dir)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # What a file means
    ///
    /// A file names what is *handled*, that is, refused, and what is granted of it. A policy refuses everything that
    /// it does not grant. So:
    ///
    /// - **Granted** is what the file grants, at and below its paths and on its ports.
    /// - **Handled** is what a `ruleset` names (several add up), and what a rule grants, as in landlockconfig.
    /// - **Left open**, that is, granted everywhere, is each right and scope that the format has a word for and the
    ///   file does not handle: file system rights up to `ioctl_dev` at `/`, `bind_tcp` and `connect_tcp` on all
    ///   ports, signals, abstract Unix sockets. So a file that handles `abi.all` for an old `abi` leaves open what
    ///   came later, as it does in landlockconfig. `refer` is left open only where no file system right is handled:
    ///   Landlock refuses it along with any other.
    /// - **Refused** stays what the format has no words for, as in every policy: UDP, other kinds of sockets,
    ///   `listen` without a grant to bind, change of metadata, and in `process` the limits, the environment and the
    ///   rest. Keys beside `policy` open these. Pathname sockets are refused too, unless abstract ones are left open:
    ///   no layer tells them apart before ABI 9, and landlockconfig refuses neither. (With signals left open, a
    ///   worker can outlive its `timeout`, as with `allow(signal)`.)
    /// - **Groups** are what Landlock has at the file's `abi`: `abi.all`; `abi.read_execute`, which is `execute`,
    ///   `read_file`, `read_dir` and `refer`; `abi.read_write`, which is all but `execute`. From 9 on they have
    ///   `resolve_unix`, from 10 on UDP, where connecting includes binding to port 0, as with
    ///   [`udp_connect`](Policy::udp_connect). An `abi` that this version does not know means the newest that it
    ///   knows. Rights named by themselves need no `abi`, and may be newer. `v1.all` to `v6.read_write`, from before
    ///   there was the key, are taken too.
    /// - **Variables**: `${name}` stands for each value of a `variable`, several in a path for every combination;
    ///   `$$` is a dollar sign. Values are taken as they are. A variable without values stands for no path.
    /// - **Paths** may be relative: to the working directory of the process, at the call. One that is missing is
    ///   passed over, as in landlockconfig, so each is [`optional`](crate::optional); one that cannot be opened for
    ///   another reason is an error of the call. Of rights on directories that are granted on a file, the others are
    ///   granted; if there are no others, that is an error of the call.
    /// - **Kernels** that cannot hold what the file handles: as with every policy, an error before the body, or with
    ///   `best_effort` a report. (landlockconfig goes on without a word.)
    /// - A file that handles nothing is an error, since it would refuse nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no regular file, has more than 1 MiB, is not UTF-8, has another extension; or its
    /// first mistake, with line and column: an unknown key or right, a repeated key, an empty list, a port or `abi`
    /// out of range, a variable that is not there, more than 10000 paths after variables were put in (repeated
    /// ones count), an empty path or one with a zero byte.
    ///
    /// [landlockconfig]: https://github.com/landlock-lsm/landlockconfig
    pub fn from_file(path: impl AsRef<Path>) -> Result<Policy, PolicyFileError> {
        Policy::from_files([path])
    }

    /// Composes a policy from several files, as landlockconfig does: handled is only what all of them handle, and of
    /// that is granted what any of them grants. So a file can also open more. They share their variables.
    ///
    /// # Errors
    ///
    /// As [`Policy::from_file`]; files that together handle nothing.
    pub fn from_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Policy, PolicyFileError> {
        let sources: Vec<Source> = paths.into_iter().map(Source::of_file).collect::<Result<_, _>>()?;
        sandboxed_config::read(&sources).map(|config| Policy::new().with_grants(config.grants()))
    }

    /// A policy from text in TOML; see [`Policy::from_file`].
    ///
    /// ```
    /// use sandboxed_runtime::Policy;
    /// let error = Policy::from_toml("[[ruleset]]\nscoped = [\"signl\"]").unwrap_err();
    /// assert_eq!(error.to_string(), "2:11: unknown scope `signl`; did you mean `signal`?");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Policy::from_file`].
    pub fn from_toml(text: &str) -> Result<Policy, PolicyFileError> {
        Policy::from_text(text, Format::Toml)
    }

    /// A policy from text in JSON; see [`Policy::from_file`].
    ///
    /// # Errors
    ///
    /// As [`Policy::from_file`].
    pub fn from_json(text: &str) -> Result<Policy, PolicyFileError> {
        Policy::from_text(text, Format::Json)
    }

    fn from_text(text: &str, format: Format) -> Result<Policy, PolicyFileError> {
        let config = sandboxed_config::read(&[Source::of_text(text, format)])?;
        Ok(Policy::new().with_grants(config.grants()))
    }
}

/// For `policy = Policy::from_file(path)?`: the body did not run.
impl From<PolicyFileError> for Error {
    fn from(error: PolicyFileError) -> Error {
        Error::launch("a policy file", error.to_string(), None)
    }
}
