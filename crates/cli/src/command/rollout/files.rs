//! The files of a fleet's configuration, read on the controller's host: which hosts each is for follows from its name. They are
//! checked as `ansai check` does, for every host that would get them. It sends nothing.

use std::{collections::BTreeSet, path::Path};

use ansai_config::{Input, Layer};
use ansai_document::{Diagnostic, Diagnostics, ENDINGS, nearest};
use ansai_protocol::{
    link::{FILES_MAX, FleetFile, FleetLayer, Short},
    views::HostView,
};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The folder among others in which layers may stand, as on a host.
const LAYERS: &str = "layers";

fn wrong(path: &Path, what: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic::of_file(path.display().to_string(), what, help)
}

/// The files of one configuration, each with where it stands.
#[derive(Debug)]
pub(super) struct Files(Vec<(FleetFile, std::path::PathBuf)>);

impl Files {
    /// Reads a file, which is for every host, or a folder with `site`, `role-NAME` and `host-NAME`, each a file or a folder of
    /// files.
    ///
    /// # Errors
    /// Everything that cannot be read, or is for nobody.
    pub(super) fn read(path: &Path) -> Result<Self, Diagnostics> {
        let mut found = Vec::new();
        let mut bad = Vec::new();
        if path.is_dir() {
            let layers = path.join(LAYERS);
            let base = if layers.is_dir() { layers } else { path.to_owned() };
            for entry in entries(&base, &mut bad) {
                of_entry(&entry, &mut found, &mut bad);
            }
        } else {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.push((FleetLayer::Site, name, path.to_owned()));
        }
        if found.is_empty() && bad.is_empty() {
            let help = "write site.yaml for every host, role-NAME.yaml, host-NAME.yaml, or folders of those names";
            bad.push(wrong(path, "it holds no file of a configuration", help));
        }
        if found.len() > FILES_MAX {
            bad.push(wrong(path, format!("it has more than {FILES_MAX} files"), "join some of them"));
            found.truncate(FILES_MAX);
        }
        found.sort();
        let mut files = Vec::new();
        for (layer, name, file) in found {
            match ansai_files::text(&file, FILE_BYTES_MAX) {
                Ok(text) => files.push((FleetFile { layer, name: Short::new(name), text }, file)),
                Err(error) => bad.push(wrong(&file, error.to_string(), "name a file, or a folder of files")),
            }
        }
        if bad.is_empty() { Ok(Self(files)) } else { Err(Diagnostics(bad)) }
    }

    /// As they are sent.
    pub(super) fn into_files(self) -> Vec<FleetFile> {
        self.0.into_iter().map(|(file, _)| file).collect()
    }

    /// Checks what each of these hosts would get, and what those of a role or a name would that nobody has yet.
    ///
    /// # Errors
    /// Everything that is wrong, each once.
    pub(super) fn check(&self, hosts: &[HostView]) -> Result<(), Diagnostics> {
        let mut whom: BTreeSet<(Short, Option<Short>)> =
            hosts.iter().map(|host| (host.name.clone(), host.role.clone())).collect();
        for (file, _) in &self.0 {
            match &file.layer {
                FleetLayer::Site => whom.insert((Short::default(), None)),
                FleetLayer::Role(role) => whom.insert((Short::default(), Some(role.clone()))),
                FleetLayer::Host(name) => whom.insert((name.clone(), None)),
            };
        }
        // Many hosts get the same.
        let chosen: BTreeSet<Vec<usize>> = whom.iter().map(|(name, role)| self.chosen(name, role.as_ref())).collect();
        let mut bad: Vec<Diagnostic> = Vec::new();
        for chosen in chosen {
            let texts = chosen.iter().filter_map(|at| self.0.get(*at)).map(input).collect();
            match ansai_config::parse_layers(texts) {
                Ok(configuration) if configuration.generation().is_some() => {
                    let places = chosen.iter().filter_map(|at| self.0.get(*at));
                    let place = places.into_iter().find(|(file, _)| file.text.contains("generation"));
                    let help = "delete `generation`: the fleet counts its configurations by itself";
                    let path = place.map_or(Path::new(""), |(_, path)| path);
                    bad.push(wrong(path, "a fleet's files declare no generation", help));
                }
                Ok(_) => {}
                Err(Diagnostics(more)) => bad.extend(more),
            }
        }
        let mut said = BTreeSet::new();
        bad.retain(|one| said.insert(one.to_string()));
        if bad.is_empty() { Ok(()) } else { Err(Diagnostics(bad)) }
    }

    /// The places of the files that a host of this name and role gets.
    fn chosen(&self, name: &Short, role: Option<&Short>) -> Vec<usize> {
        let files = self.0.iter().enumerate();
        files.filter(|(_, (file, _))| file.layer.is_for(name, role)).map(|(at, _)| at).collect()
    }
}

fn input((file, path): &(FleetFile, std::path::PathBuf)) -> Input {
    let layer = match file.layer {
        FleetLayer::Site => Layer::Fleet,
        FleetLayer::Role(_) => Layer::FleetRole,
        FleetLayer::Host(_) => Layer::FleetHost,
    };
    Input { layer, role: None, file: path.clone(), text: file.text.clone() }
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

/// What stands in a folder, in the order of the names.
fn entries(path: &Path, bad: &mut Vec<Diagnostic>) -> Vec<std::path::PathBuf> {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).take(2 * FILES_MAX).collect();
            all.sort();
            all
        }
        Err(error) => {
            let what = format!("it cannot be read: {}", ansai_files::said(&error));
            bad.push(wrong(path, what, "check its permissions"));
            Vec::new()
        }
    }
}

/// The files that an entry of the folder stands for.
fn of_entry(entry: &Path, found: &mut Vec<(FleetLayer, String, std::path::PathBuf)>, bad: &mut Vec<Diagnostic>) {
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_folder = entry.is_dir();
    let name = name_of(entry);
    if !is_folder && !is_ours(entry) || name.starts_with('.') {
        return;
    }
    // A host's name has dots.
    let ending = entry.extension().filter(|_| !is_folder).map_or(0, |ending| ending.len() + 1);
    let word = &name[..name.len() - ending];
    let layer = match (word, word.strip_prefix("role-"), word.strip_prefix("host-")) {
        ("site", ..) => FleetLayer::Site,
        (_, Some(role), _) if !role.is_empty() => FleetLayer::Role(Short::new(role)),
        (_, _, Some(host)) if !host.is_empty() => FleetLayer::Host(Short::new(host)),
        _ => {
            let help = nearest(word, ["site"]).unwrap_or_else(|| "name it site, role-NAME or host-NAME".into());
            bad.push(wrong(entry, format!("`{word}` is for no host of a fleet"), &help));
            return;
        }
    };
    if !is_folder {
        return found.push((layer, name, entry.to_owned()));
    }
    for file in entries(entry, bad).into_iter().filter(|file| is_ours(file) && !file.is_dir()) {
        found.push((layer.clone(), format!("{name}/{}", name_of(&file)), file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn a_name_says_for_whom_a_file_is() {
        let folder = folder(&[
            ("site.yaml", "autonomy: observe\n"),
            ("role-web/b.yaml", "services: {b.service: {}}\n"),
            ("role-web/a.toml", "[services.\"a.service\"]\n"),
            ("host-db-01.example.com.yaml", "autonomy: act\n"),
            ("README.md", "of no concern"),
            (".hidden.yaml", "of no concern"),
        ]);
        let files = Files::read(folder.path()).expect("read");
        files.check(&[]).expect("valid");
        let files = files.into_files();
        let said: Vec<String> = files.iter().map(|file| format!("{:?} {}", file.layer, file.name)).collect();
        assert_eq!(
            said,
            [
                "Site site.yaml",
                "Role(\"web\") role-web/a.toml",
                "Role(\"web\") role-web/b.yaml",
                "Host(\"db-01.example.com\") host-db-01.example.com.yaml"
            ]
        );
        let one = Files::read(&folder.path().join("role-web/b.yaml")).expect("read").into_files();
        assert_eq!((one[0].layer.clone(), one[0].name.as_str()), (FleetLayer::Site, "b.yaml"));
    }

    #[test]
    fn the_layers_of_a_host_are_read_as_they_stand() {
        let folder = folder(&[("layers/site.yaml", "autonomy: act\n"), ("ansai.yaml", "the host's own")]);
        let files = Files::read(folder.path()).expect("read").into_files();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].name.as_str(), "site.yaml");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_with_its_place() {
        let folder = folder(&[
            ("site.yaml", "autonomy: act\nservces: {}\n"),
            ("role-web.yaml", "services: {a.service: {probe: 7}}\n"),
            ("role-db.yaml", "generation: 4\n"),
        ]);
        let files = Files::read(folder.path()).expect("read");
        let wrong = files.check(&[]).expect_err("wrong").text(None);
        assert_eq!(wrong.matches("site.yaml:2:").count(), 1, "once, though all get it: {wrong}");
        for part in ["site.yaml:2:", "services", "role-web.yaml:1:"] {
            assert!(wrong.contains(part), "{part}: {wrong}");
        }
        let path = folder.path().join("sit.yaml");
        std::fs::write(&path, "").expect("written");
        let wrong = Files::read(folder.path()).expect_err("for nobody").text(None);
        assert!(wrong.contains("`sit` is for no host") && wrong.contains("site"), "{wrong}");
        let empty = tempfile::tempdir().expect("a folder");
        assert!(Files::read(empty.path()).expect_err("empty").text(None).contains("no file"));
        assert!(Files::read(&empty.path().join("none.yaml")).is_err());
        std::fs::write(empty.path().join("site.yaml"), "generation: 4\n").expect("written");
        let counted = Files::read(empty.path()).expect("read").check(&[]).expect_err("counted").text(None);
        assert!(counted.contains("site.yaml") && counted.contains("generation"), "{counted}");
    }
}
