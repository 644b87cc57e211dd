//! The machine's apt, with lists and a cache of our own: nothing is installed, and nothing of the machine's changes.
//! What it fetches it checks by Debian's signatures.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which Debian suites hold kernels, newest first.
const SUITES: &[&str] = &["trixie-backports", "trixie-security", "bookworm-security", "bullseye-security"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Apt {
    directory: PathBuf,
}

/// A package as the lists have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub size: u64,
}

impl Apt {
    /// Fetches the lists of packages into `directory`.
    pub fn updated(directory: &Path) -> Result<Apt> {
        ensure!(Path::new(KEYRING).exists(), "{KEYRING} is missing (the package debian-archive-keyring)");
        for part in ["lists/partial", "cache/archives/partial", "preferences", "debs"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let apt = Apt { directory: directory.to_owned() };
        let archives = Archives::of_this_machine()?;
        let sources: Vec<String> = SUITES
            .iter()
            .map(|suite| format!("deb [signed-by={KEYRING}] {} {suite} main\n", archives.holding(suite)))
            .collect();
        fs::write(directory.join("sources.list"), sources.concat())?;
        apt.run("apt-get", &["update", "--error-on=any", "-qq"])?;
        Ok(apt)
    }

    /// Every package of the suites.
    pub fn packages(&self) -> Result<Vec<Package>> {
        Ok(parse_packages(&self.run("apt-cache", &["dumpavail"])?))
    }

    /// Fetches a package and unpacks it into `to`.
    pub fn unpack(&self, package: &Package, to: &Path) -> Result<()> {
        let debs = self.directory.join("debs");
        fs::remove_dir_all(&debs)?;
        fs::create_dir(&debs)?;
        self.run("apt-get", &["download", "-qq", &format!("{}={}", package.name, package.version)])?;
        let deb = fs::read_dir(&debs)?.next().context("apt-get download left no file")??.path();
        output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(to))?;
        Ok(fs::remove_file(deb)?)
    }

    /// Given on the command line, so that they win over the machine's; what they do not name (proxies, retries,
    /// certificates) is the machine's.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let options = [
            ("Dir::Etc::SourceList", at("sources.list")),
            ("Dir::Etc::SourceParts", "-".into()),
            ("Dir::Etc::Preferences", "-".into()),
            ("Dir::Etc::PreferencesParts", at("preferences")),
            ("Dir::State::Lists", at("lists")),
            ("Dir::State::Status", "/dev/null".into()),
            ("Dir::Cache", at("cache")),
            ("Acquire::Languages", "none".into()),
            // Of what desktops want to know of packages, nothing.
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".into()),
            ("Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled", "false".into()),
            ("Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled", "false".into()),
            // Its unprivileged user may not come here.
            ("APT::Sandbox::User", "root".into()),
            ("APT::Architecture", "amd64".into()),
        ];
        let mut command = Command::new(program);
        for (name, value) in options {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        output(command.args(arguments).current_dir(self.directory.join("debs")))
    }
}

/// Where this machine's apt has Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Archives {
    main: String,
    security: String,
}

impl Archives {
    fn of_this_machine() -> Result<Archives> {
        let targets = ["--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"];
        let targets = output(Command::new("apt-get").arg("indextargets").args(targets))?;
        Archives::among(&targets).context("apt on this machine has no Debian archive among its sources")
    }

    /// Input: lines of an address and a suite.
    fn among(targets: &str) -> Option<Archives> {
        let targets = || targets.lines().filter_map(|line| line.split_once(' '));
        let named = |address: &str, name: &str| address.trim_end_matches('/').ends_with(name);
        let main = targets().find(|(address, _)| named(address, "/debian"))?.0;
        let security = targets()
            .find(|(address, suite)| suite.ends_with("-security") && named(address, "/debian-security"))
            .map_or_else(|| format!("{}-security/", main.trim_end_matches('/')), |found| found.0.to_owned());
        Some(Archives { main: main.to_owned(), security })
    }

    fn holding(&self, suite: &str) -> &str {
        if suite.ends_with("-security") { &self.security } else { &self.main }
    }
}

fn parse_packages(dump: &str) -> Vec<Package> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    let package = |stanza: &str| {
        Some(Package {
            name: field(stanza, "Package")?,
            version: field(stanza, "Version")?,
            size: field(stanza, "Size")?.parse().ok()?,
        })
    };
    dump.split("\n\n").filter_map(package).collect()
}

/// Runs a program to its end; what it says is the error where it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_those_that_apt_names() {
        let targets = "http://vendor.test/apt stable\nhttp://a.test/debian/ bookworm\n\
                       http://b.test/debian-security/ bookworm-security\n";
        let found = Archives::among(targets).unwrap();
        assert_eq!(found.holding("trixie-backports"), "http://a.test/debian/");
        assert_eq!(found.holding("trixie-security"), "http://b.test/debian-security/");
        let found = Archives::among("http://a.test/debian sid\n").unwrap();
        assert_eq!(found.holding("trixie-security"), "http://a.test/debian-security/");
        assert_eq!(Archives::among("http://vendor.test/apt stable\n"), None);
    }

    #[test]
    fn packages_have_a_name_a_version_and_a_size() {
        let dump = "Package: linux-image-6.1.0-56-cloud-amd64\nVersion: 6.1.179-1\nSize: 1200\nDepends: kmod\n\n\
                    Package: virtual\nVersion: 1\n\n";
        let name = "linux-image-6.1.0-56-cloud-amd64".to_owned();
        assert_eq!(parse_packages(dump), [Package { name, version: "6.1.179-1".into(), size: 1200 }]);
    }
}
