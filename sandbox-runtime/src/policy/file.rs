//! Policies as files of the landlockconfig format say them.

use super::{
    Access, Allow, Demand, NetAccess, PathGrant, PathKey, Policy, PortGrant, Stdio, ThreadSync, Workers,
};
use sandboxed_config::{Config, Grants, Kind, Unwritable};
use std::path::PathBuf;

impl Policy {
    /// Writes the policy as a file of the landlockconfig format, in TOML.
    ///
    /// [`Policy::from_toml`] makes of it a policy with the same plan on every kernel, but that each path may be
    /// missing: the format cannot say that one must be there.
    ///
    /// ```
    /// use sandboxed_runtime::Policy;
    /// let policy = Policy::new().read("/usr").tcp_connect(443);
    /// let again = Policy::from_toml(&policy.to_toml()?).expect("what is written can be read");
    /// assert_eq!(again.to_string(), r#"read = optional("/usr"), tcp_connect = 443"#);
    ///
    /// let error = Policy::new().env("LANG").to_toml().unwrap_err();
    /// assert_eq!(error.to_string(), "a policy file cannot say `env`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Names what the format cannot say: limits and all else that is not a grant, presets (spell them out with
    /// [`Policy::expanded`]), `allow(udp)`, `allow(metadata)`, `allow(abstract_unix_socket)` without `unix = "/"`,
    /// other `unix` and UDP ports but with all that their ABI has beside them, paths that are not UTF-8; more than
    /// 10000 paths or 1 MiB.
    pub fn to_toml(&self) -> Result<String, Unwritable> {
        sandboxed_config::to_toml(&self.to_config()?)
    }

    /// Adds what a file grants, worked out when the attribute was compiled.
    #[doc(hidden)]
    pub fn with_file(self, paths: &[(&str, u64)], ports: &[(u64, u16, u16)], scopes: u64) -> Policy {
        self.with_grants(Grants {
            paths: paths.iter().map(|(path, bits)| (PathBuf::from(path), *bits)).collect(),
            ports: ports.iter().map(|(bit, first, last)| (*bit, *first..=*last)).collect(),
            scopes,
        })
    }

    pub(super) fn with_grants(mut self, grants: Grants) -> Policy {
        for (path, bits) in grants.paths {
            self.paths.push(PathGrant { key: PathKey::of(Access::of_bits(bits)), path, optional: true });
        }
        for (bit, ports) in grants.ports {
            let access = NetAccess::ALL.into_iter().find(|access| access.bit() == bit);
            self.ports.extend(access.map(|access| PortGrant { access, ports }));
        }
        self.allow.extend(SCOPES.iter().filter(|(_, bit)| grants.scopes & bit != 0).map(|(what, _)| *what));
        self
    }

    /// Handles all that the format has words for, but ports and scopes that are open.
    fn to_config(&self) -> Result<Config, Unwritable> {
        self.check_sayable()?;
        let mut config = Config::default();
        let with_words = |kind: Kind| -> u64 {
            kind.rights().iter().filter(|right| right.has_word).map(|right| right.bit).sum()
        };
        // Where abstract sockets are open, so are pathname sockets, unless a group handles them.
        let unix = self.allows(Allow::AbstractUnixSocket) && self.opens_right(Access::RESOLVE_UNIX);
        let unsaid = if unix { Access::RESOLVE_UNIX.bits() } else { 0 };
        for grant in &self.paths {
            let bits = grant.key.rights().bits() & !unsaid;
            if bits != 0 {
                *config.paths.entry(grant.path.clone()).or_default() |= bits;
            }
        }
        config.handled_files =
            config.paths.values().fold(with_words(Kind::Files), |handled, bits| handled | bits);
        // UDP ports can be said by a group alone, which handles TCP too.
        let udp = self.names_port(NetAccess::BindUdp) || self.names_port(NetAccess::ConnectSendUdp);
        let is_handled = |access: NetAccess| udp || !self.opens_port(access);
        for grant in self.ports.iter().filter(|grant| is_handled(grant.access)) {
            for port in grant.ports.clone() {
                *config.ports.entry(port).or_default() |= grant.access.bit();
            }
        }
        let handled = NetAccess::ALL.into_iter().filter(|access| is_handled(*access));
        let handled = handled.fold(0, |bits, access| bits | access.bit()) & with_words(Kind::Net);
        config.handled_net = config.ports.values().fold(handled, |handled, bits| handled | bits);
        let scoped = SCOPES.iter().filter(|(what, _)| !self.allows(*what));
        config.scoped = scoped.fold(0, |bits, (_, bit)| bits | bit);
        Ok(config)
    }

    /// Whether there is nothing in it but grants of what the format has words for.
    fn check_sayable(&self) -> Result<(), Unwritable> {
        // Every field by name, so that a new one is not forgotten here.
        let Policy {
            paths,
            ports: _,
            allow,
            presets,
            timeout,
            memory,
            cpu,
            open_files,
            file_size,
            threads,
            namespaces,
            env,
            stdio,
            workers,
            demand,
            thread_sync,
            is_program,
        } = self;
        let abstract_alone =
            allow.contains(&Allow::AbstractUnixSocket) && !self.names_right(Access::RESOLVE_UNIX);
        let unsayable = [
            (paths.iter().any(|grant| grant.key == PathKey::Quiet), "`quiet`"),
            (abstract_alone, "`allow(abstract_unix_socket)` without `unix = \"/\"`"),
            (allow.contains(&Allow::Udp), "`allow(udp)`"),
            (allow.contains(&Allow::Metadata), "`allow(metadata)`"),
            (!presets.is_empty(), "`preset`"),
            (timeout.is_some(), "`timeout`"),
            (memory.is_some(), "`memory`"),
            (cpu.is_some(), "`cpu`"),
            (open_files.is_some(), "`open_files`"),
            (file_size.is_some(), "`file_size`"),
            (threads.is_some(), "`threads`"),
            (*namespaces, "`namespaces`"),
            (!env.is_empty(), "`env`"),
            (*stdio != Stdio::Relay, "`stdio`"),
            (*workers != Workers::new(), "`workers`"),
            (*demand == Demand::Strict, "`strict`"),
            (*demand == Demand::BestEffort, "`best_effort`"),
            (*thread_sync != ThreadSync::Kernel, "`thread_sync`"),
            (*is_program, "that it is the policy of `main`"),
        ];
        match unsayable.into_iter().find(|(is_there, _)| *is_there) {
            Some((_, what)) => Err(Unwritable::new(what)),
            None => Ok(()),
        }
    }
}

const SCOPES: [(Allow, u64); 2] = [(Allow::AbstractUnixSocket, 1 << 0), (Allow::Signal, 1 << 1)];

impl PathKey {
    /// The key that grants exactly these rights.
    fn of(rights: Access) -> PathKey {
        let keys = [PathKey::Read, PathKey::Write, PathKey::Execute, PathKey::Unix];
        keys.into_iter().find(|key| key.rights() == rights).unwrap_or(PathKey::Fs(rights))
    }
}
