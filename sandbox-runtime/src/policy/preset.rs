//! Named bundles of grants that people would otherwise get wrong.

use super::{Allow, NetAccess, PathGrant, PathKey, Policy, PortGrant};
use serde::{Deserialize, Serialize};

/// What `preset(...)` takes. All paths are optional: what a system does not have is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Preset {
    /// Looking up names as glibc's `getaddrinfo` does: reads `/etc/resolv.conf`, `/etc/hosts`,
    /// `/etc/host.conf`, `/etc/nsswitch.conf`, `/etc/gai.conf`, `/etc/services`, `/etc/protocols`; TCP to
    /// port 53 from ABI 4 on; UDP to port 53 from ABI 10 on, before it `allow(udp)`, all ports, since the
    /// kernel cannot tell them apart.
    Dns,
    /// Certificates of authorities, where OpenSSL, GnuTLS and rustls look: reads `/etc/ssl`, `/etc/pki`,
    /// `/etc/ca-certificates`, `/usr/share/ca-certificates`, `/usr/local/share/ca-certificates`,
    /// `/usr/lib/ssl`. (`/etc/ssl/private` is below the first; file permissions guard it.)
    CaCertificates,
    /// Local time: reads `/etc/localtime`, `/etc/timezone`, `/usr/share/zoneinfo`; passes `TZ`.
    TimeZone,
    /// Locales: reads `/usr/lib/locale`, `/usr/share/locale`, `/usr/share/i18n`, `/etc/locale.alias`; passes
    /// `LANG`, `LANGUAGE` and the `LC_*` variables.
    Locale,
    /// The directory for temporary files (`TMPDIR`, else `/tmp`): reads and writes it; passes `TMPDIR`.
    Tmp,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 5] =
        [Preset::Dns, Preset::CaCertificates, Preset::TimeZone, Preset::Locale, Preset::Tmp];

    /// The word in the attribute.
    pub const fn word(self) -> &'static str {
        match self {
            Preset::Dns => "dns",
            Preset::CaCertificates => "ca_certificates",
            Preset::TimeZone => "time_zone",
            Preset::Locale => "locale",
            Preset::Tmp => "tmp",
        }
    }

    fn reads(self) -> &'static [&'static str] {
        match self {
            Preset::Dns => &[
                "/etc/resolv.conf",
                "/etc/hosts",
                "/etc/host.conf",
                "/etc/nsswitch.conf",
                "/etc/gai.conf",
                "/etc/services",
                "/etc/protocols",
            ],
            Preset::CaCertificates => &[
                "/etc/ssl",
                "/etc/pki",
                "/etc/ca-certificates",
                "/usr/share/ca-certificates",
                "/usr/local/share/ca-certificates",
                "/usr/lib/ssl",
            ],
            Preset::TimeZone => &["/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo"],
            Preset::Locale => {
                &["/usr/lib/locale", "/usr/share/locale", "/usr/share/i18n", "/etc/locale.alias"]
            }
            Preset::Tmp => &[],
        }
    }

    fn env(self) -> &'static [&'static str] {
        match self {
            Preset::Dns | Preset::CaCertificates => &[],
            Preset::TimeZone => &["TZ"],
            Preset::Locale => &[
                "LANG",
                "LANGUAGE",
                "LC_ALL",
                "LC_COLLATE",
                "LC_CTYPE",
                "LC_MESSAGES",
                "LC_MONETARY",
                "LC_NUMERIC",
                "LC_TIME",
            ],
            Preset::Tmp => &["TMPDIR"],
        }
    }
}

impl Policy {
    /// The policy with its presets spelled out, for a kernel with this Landlock ABI.
    pub fn expanded(&self, abi: u32) -> Policy {
        let mut policy = self.clone();
        for preset in std::mem::take(&mut policy.presets) {
            policy = policy.with_preset(preset, abi);
        }
        policy
    }

    fn with_preset(mut self, preset: Preset, abi: u32) -> Policy {
        for path in preset.reads() {
            self.paths.push(PathGrant { key: PathKey::Read, path: path.into(), optional: true });
        }
        self.env.extend(preset.env().iter().map(|name| (*name).to_owned()));
        match preset {
            Preset::Dns => self.with_dns_ports(abi),
            Preset::Tmp => {
                let tmp = std::env::temp_dir();
                self.read(super::optional(tmp.as_path())).write(super::optional(tmp.as_path()))
            }
            _ => self,
        }
    }

    fn with_dns_ports(mut self, abi: u32) -> Policy {
        let mut port_53 = |access| self.ports.push(PortGrant { access, ports: 53..=53 });
        if abi >= NetAccess::ConnectTcp.least_abi() {
            port_53(NetAccess::ConnectTcp);
        }
        if abi >= NetAccess::ConnectSendUdp.least_abi() {
            port_53(NetAccess::ConnectSendUdp);
        } else {
            self.allow.insert(Allow::Udp);
        }
        self
    }
}
