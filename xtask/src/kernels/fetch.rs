//! Debian's kernels for virtual machines, unpacked and never installed.

use super::apt::{Apt, Package, output};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules that tests want and that these kernels do not have built in.
const MODULES: &[&str] = &["overlay"];

/// A kernel that is there.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub series: String,
    /// The version of its package.
    pub version: String,
    pub image: PathBuf,
    /// Those of [`MODULES`] that the archive still has for it.
    pub modules: Vec<PathBuf>,
}

/// Every series that is asked for, fetched unless it is in `directory`. To renew one, remove it there.
pub fn kernels(directory: &Path, wanted: &[&str]) -> Result<Vec<Kernel>> {
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|series| !directory.join(series).exists()).collect();
    if !missing.is_empty() {
        fetch(directory, &missing).context("the kernels cannot be fetched")?;
    }
    wanted.iter().map(|series| kept(directory, series)).collect()
}

fn kept(directory: &Path, series: &str) -> Result<Kernel> {
    let place = directory.join(series);
    let version = fs::read_to_string(place.join("version")).with_context(|| place.display().to_string())?;
    let modules =
        MODULES.iter().map(|module| place.join(format!("{module}.ko"))).filter(|path| path.exists());
    let modules = modules.collect();
    Ok(Kernel { series: series.to_owned(), version, image: place.join("vmlinuz"), modules })
}

fn fetch(directory: &Path, wanted: &[&str]) -> Result<()> {
    let apt = Apt::updated(&directory.join("apt"))?;
    let packages = apt.packages()?;
    for series in wanted {
        let mut refused = Vec::new();
        // Lists name what the archive may have lost since: then the one before.
        let found = candidates(&packages, series).into_iter().find_map(|candidate| {
            fetch_one(&apt, &packages, candidate, &directory.join(series))
                .map_err(|error| refused.push(format!("{} {}: {error:#}", candidate.name, candidate.version)))
                .ok()
        });
        match found {
            Some(version) => eprintln!("fetched {series}: {version}"),
            None if refused.is_empty() => bail!("the archive has no kernel of the series {series}"),
            None => bail!("no kernel of the series {series}:\n{}", refused.join("\n")),
        }
    }
    Ok(())
}

fn fetch_one(apt: &Apt, packages: &[Package], package: &Package, place: &Path) -> Result<String> {
    // Complete under another name first, so that what is there is whole.
    let partial = place.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let unpacked = partial.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    apt.unpack(package, &unpacked)?;
    if let Some(modules) = modules_of(packages, package) {
        // The archive drops them earlier than the kernel.
        if let Err(error) = apt.unpack(modules, &unpacked) {
            eprintln!("{} {}: {error:#}", modules.name, modules.version);
        }
    }
    let image = find(&unpacked, |name| name.starts_with("vmlinuz"))?.context("the package has no vmlinuz")?;
    fs::rename(image, partial.join("vmlinuz"))?;
    for module in MODULES {
        let is_it = |name: &str| name == format!("{module}.ko") || name == format!("{module}.ko.xz");
        let Some(found) = find(&unpacked, is_it)? else { continue };
        if found.extension().is_some_and(|extension| extension == "xz") {
            output(Command::new("xz").arg("-d").arg(&found))?;
        }
        fs::rename(found.with_file_name(format!("{module}.ko")), partial.join(format!("{module}.ko")))?;
    }
    fs::remove_dir_all(&unpacked)?;
    fs::write(partial.join("version"), &package.version)?;
    fs::rename(&partial, place)?;
    Ok(package.version.clone())
}

/// The packages that hold a kernel of this series, newest first.
fn candidates<'a>(packages: &'a [Package], series: &str) -> Vec<&'a Package> {
    // The package of a name `linux-image` that is smaller only depends on others.
    const LEAST: u64 = 1 << 20;
    let mut found: Vec<&Package> = packages
        .iter()
        .filter(|package| package.size > LEAST && is_kernel(&package.name))
        .filter(|package| package.version.strip_prefix(series).is_some_and(|rest| rest.starts_with('.')))
        .collect();
    found.sort_by_key(|package| std::cmp::Reverse(numbers(&package.version)));
    found
}

fn is_kernel(name: &str) -> bool {
    // The same kernel comes with and without a signature that nothing here looks at.
    let name = name.strip_suffix("-unsigned").unwrap_or(name);
    (name.starts_with("linux-image-") || name.starts_with("linux-binary-")) && name.ends_with("-cloud-amd64")
}

/// Where Debian has split them off.
fn modules_of<'a>(packages: &'a [Package], kernel: &Package) -> Option<&'a Package> {
    let name = kernel.name.strip_prefix("linux-binary-")?;
    let name = name.strip_prefix("unsigned-").unwrap_or(name);
    packages.iter().find(|package| package.name.strip_prefix("linux-modules-") == Some(name))
}

/// The numbers in a version, which order versions of one series well enough.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The first file below a directory whose name is it.
fn find(directory: &Path, is_it: impl Fn(&str) -> bool + Copy) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = match entry.file_type()?.is_dir() {
            true => find(&entry.path(), is_it)?,
            false => is_it(&entry.file_name().to_string_lossy()).then(|| entry.path()),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, size: u64) -> Package {
        Package { name: name.into(), version: version.into(), size }
    }

    #[test]
    fn the_newest_kernel_comes_first_and_no_other_package() {
        let all = [
            package("linux-image-6.1.0-9-cloud-amd64", "6.1.9-1", 9 << 20),
            package("linux-image-6.1.0-53-cloud-amd64", "6.1.172-1", 9 << 20),
            package("linux-image-6.1.0-53-cloud-amd64-dbg", "6.1.172-1", 9 << 20),
            package("linux-image-6.1.0-53-amd64", "6.1.172-1", 9 << 20),
            package("linux-image-6.12.1+deb13-cloud-amd64", "6.12.1-1", 9 << 20),
            package("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1", 1900),
            package("linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1", 9 << 20),
            package("linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1", 9 << 20),
        ];
        assert_eq!(candidates(&all, "6.1"), [&all[1], &all[0]]);
        assert_eq!(candidates(&all, "7.3"), [&all[6]]);
        assert_eq!(modules_of(&all, &all[6]), Some(&all[7]));
        let unsigned = package("linux-binary-unsigned-7.3.4+deb13-cloud-amd64", "7.3.4-1", 9 << 20);
        assert_eq!(modules_of(&all, &unsigned), Some(&all[7]));
        assert_eq!(modules_of(&all, &all[1]), None);
        assert!(candidates(&all, "5.10").is_empty());
    }
}
