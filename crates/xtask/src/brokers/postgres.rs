//! PostgreSQL, from the distribution's package.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::ports::{Port, Range};
use super::probe::Probe;
use super::recipe::Recipe;
use super::server::Stop;
use super::{BrokersError, Server, folder, install};

/// What a private PostgreSQL has of its own.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Of `postgresql.conf`, for example `max_connections`.
    pub settings: Vec<(String, String)>,
}

impl Settings {
    /// With one setting more.
    pub fn set(mut self, name: &str, value: &str) -> Settings {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A PostgreSQL of one's own. Dropped, it is gone with its data.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    url: String,
}

impl Postgres {
    /// Starts one and waits until it serves, some seconds.
    ///
    /// # Errors
    /// The package can't be had, or it does not start.
    pub fn launch(settings: &Settings) -> Result<Postgres, BrokersError> {
        let guard = Guard::new(reachable(folder::private("postgres"))?)?;
        let port = Range::PRIVATE.reserve()?;
        let (server, url) = prepare(guard.folder(), &port, settings)?;
        let server = server.private(guard, [port]);
        server.start()?;
        Ok(Postgres { server, url })
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`: a user who may do all, without a password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The folder, or one for temporary files where the server's user can't reach it: it refuses to be root, and a clone in
/// root's own folder is closed to others.
pub(crate) fn reachable(wanted: PathBuf) -> Result<PathBuf, BrokersError> {
    if install::postgres_user()?.is_none() || folder::is_open_to_all(&wanted) {
        return Ok(wanted);
    }
    // Two clones on one machine must not meet: the whole path names the folder.
    let name = wanted.to_string_lossy().replace('/', "-");
    Ok(std::env::temp_dir().join(format!("trunkline-test{name}")))
}

/// Makes an empty cluster of databases; the server is not started.
pub(crate) fn prepare(
    folder: &Path,
    port: &Port,
    settings: &Settings,
) -> Result<(Server, String), BrokersError> {
    let user = install::postgres_user()?;
    folder::create(folder)?;
    if let Some((user, group)) = user {
        chown(folder, Some(user), Some(group)).map_err(BrokersError::file(folder))?;
    }
    let owner_only = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, owner_only).map_err(BrokersError::file(folder))?;
    let recipe = |program, name| -> Result<Recipe, BrokersError> {
        let mut recipe = Recipe::new(install::postgres(program)?, folder.to_owned(), name);
        recipe.user = user;
        Ok(recipe)
    };
    recipe("initdb", "initdb")?
        .arguments(["-D", "data", "-U", "postgres", "--auth", "trust", "--encoding", "UTF8"])
        .arguments(["--locale", "C", "--no-sync"])
        .run()?;
    let mut server = recipe("postgres", "postgres")?;
    let mut options = vec![
        ("port".to_owned(), port.number.to_string()),
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("unix_socket_directories".to_owned(), String::new()),
        ("max_connections".to_owned(), "200".to_owned()),
    ];
    options.extend(settings.settings.iter().cloned());
    server = server.arguments(["-D", "data"]);
    server.stale = Some(folder.join("data/postmaster.pid"));
    for (name, value) in &options {
        server = server.arguments(["-c", &*format!("{name}={value}")]);
    }
    let probe = Probe::Postgres(SocketAddr::from((Ipv4Addr::LOCALHOST, port.number)));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", port.number);
    Ok((Server::new("PostgreSQL", server, probe, Stop::Interrupt), url))
}
