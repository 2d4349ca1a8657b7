use std::env::consts;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::{fs, thread};

/// What was measured on.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    /// Whether the processor has instructions for SHA-256, where the system says so: they make it about five times as fast.
    pub(crate) sha_instructions: Option<bool>,
    pub(crate) cores: NonZeroUsize,
    /// The version of the `openssl` program, if there is one.
    pub(crate) openssl: Option<String>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let (processor, sha_instructions) = match fs::read_to_string("/proc/cpuinfo") {
            Ok(text) => read_cpuinfo(&text),
            Err(_) => (None, None),
        };
        Self {
            processor: processor.unwrap_or_else(|| format!("{} {}", consts::OS, consts::ARCH)),
            sha_instructions,
            cores: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            openssl: openssl_version(),
        }
    }
}

/// What Linux says of the first core: its name, and whether it has instructions for SHA-256.
fn read_cpuinfo(text: &str) -> (Option<String>, Option<bool>) {
    let field = |names: &[&str]| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| names.contains(&name.trim()))
            .map(|(_, value)| value.trim())
    };
    let sha = field(&["flags", "Features"]).map(|flags| {
        flags
            .split(' ')
            .any(|flag| flag == "sha_ni" || flag == "sha2")
    });
    (field(&["model name"]).map(str::to_owned), sha)
}

fn openssl_version() -> Option<String> {
    let output = Command::new("openssl")
        .arg("version")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let words: Vec<_> = text.split_whitespace().take(2).collect(); // the date is of no interest
    (output.status.success() && !words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_of_a_processor() {
        let amd = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sha_ni vme\n\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(read_cpuinfo(amd), (Some("AMD EPYC".into()), Some(true)));
        let old = "model name\t: Old\nflags\t: fpu sha_nix\n";
        assert_eq!(read_cpuinfo(old), (Some("Old".into()), Some(false)));
        let arm = "processor\t: 0\nFeatures\t: fp asimd sha1 sha2\n";
        assert_eq!(read_cpuinfo(arm), (None, Some(true)));
        assert_eq!(read_cpuinfo(""), (None, None));
    }
}
