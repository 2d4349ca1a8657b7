//! The variables that ComfyUI gets.

use std::collections::BTreeMap;

use super::Spec;
use super::expand::Variables;
use super::notes::below;
use crate::{Error, ErrorKind, Home, ModelsDir};

impl Spec {
    /// `env` with all variables filled in for these folders.
    ///
    /// # Errors
    /// `Spec` if a value refers to a variable that is not known, which a parsed spec does not; or if a folder's path is no Unicode.
    pub fn environment(
        &self,
        home: &Home,
        models_dir: &ModelsDir,
    ) -> Result<BTreeMap<String, String>, Error> {
        let text = |path: &std::path::Path| {
            let message = format!("the path {} is no Unicode", path.display());
            path.to_str()
                .map(str::to_owned)
                .ok_or_else(|| Error::new(ErrorKind::Spec, message))
        };
        let variables = Variables::new(self.env.clone())
            .filled_with(&text(home.path())?, &text(models_dir.path())?);
        let mut environment = BTreeMap::new();
        for (name, value) in &self.env {
            let expanded = variables.expand(value).map_err(|fault| {
                let error = Error::new(ErrorKind::Spec, fault.message);
                error.at(below("/env", name)).with_hint(fault.hint)
            })?;
            environment.insert(name.clone(), expanded.text);
        }
        Ok(environment)
    }
}
