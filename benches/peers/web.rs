//! curl and aria2, against nginx: PUT by its DAV module, GET by sendfile.

use std::path::Path;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::children::Running;
use crate::ends::{End, find};
use crate::entrants::Mover;
use crate::ground;
use crate::line::Line;
use crate::material::Material;

/// A server, and what uses it.
pub struct Web {
    server: Running,
    client: Line,
    program: Program,
    url: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Curl,
    Aria2,
}

pub fn curl(bench: &Bench, root: &Path) -> Result<Web> {
    let (server, url) = serve(bench, root)?;
    let program = find("curl").context("curl")?;
    let client = bench.ends.line(End::Client, &program);
    Ok(Web {
        server,
        client: client.args(["-q", "-sS", "-f"]),
        program: Program::Curl,
        url,
    })
}

/// aria2 with so many connections.
pub fn aria2(bench: &Bench, root: &Path, connections: u8) -> Result<Web> {
    let (server, url) = serve(bench, root)?;
    let program = find("aria2c").context("aria2c")?;
    let client = bench.ends.line(End::Client, &program);
    let client = client.args(["--no-conf", "-q", "-k", "1M", "--file-allocation=none"]);
    Ok(Web {
        server,
        client: client.args([format!("-x{connections}"), format!("-s{connections}")]),
        program: Program::Aria2,
        url,
    })
}

/// Starts an nginx that serves `root`, and says under which address.
fn serve(bench: &Bench, root: &Path) -> Result<(Running, String)> {
    let desk = bench.ground.desk("nginx")?;
    let program = find("nginx").context("nginx")?;
    let (server, address) = bench.ends.serve(&bench.watch, "nginx", |address| {
        let path = desk.join(format!("nginx-{}.conf", address.port()));
        ground::write(&path, &config(root, &desk, &address.to_string()))?;
        let line = bench.ends.line(End::Server, &program);
        let line = line.arg("-p").arg(&desk).arg("-c").arg(path);
        Ok(line.args(["-e", "stderr", "-g", "daemon off;"]))
    })?;
    Ok((server, format!("http://{address}")))
}

/// nginx's configuration. As root its workers would be nobody, who may write nowhere here. A
/// body that arrives is put beside its target, so that it is renamed and not copied.
fn config(root: &Path, desk: &Path, listen: &str) -> String {
    let user = if rustix::process::getuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    let (root, desk) = (root.display(), desk.display());
    format!(
        "{user}worker_processes auto;\npid {desk}/nginx.pid;\nerror_log stderr error;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n\
         \x20 client_max_body_size 0;\n  client_body_temp_path {root}/.body;\n\
         \x20 proxy_temp_path {desk}/proxy;\n  fastcgi_temp_path {desk}/fastcgi;\n\
         \x20 uwsgi_temp_path {desk}/uwsgi;\n  scgi_temp_path {desk}/scgi;\n\
         \x20 server {{\n    listen {listen};\n    root {root};\n\
         \x20   location / {{ dav_methods PUT; create_full_put_path on; }}\n  }}\n}}\n"
    )
}

impl Mover for Web {
    fn put(&self, what: &Material) -> Line {
        let line = self.client.clone().arg("-T").arg(&what.path);
        line.arg(format!("{}/{}", self.url, what.name()))
    }

    fn get(&self, what: &Material, into: &Path) -> Line {
        let client = self.client.clone();
        let client = match self.program {
            Program::Curl => client.arg("-o").arg(into.join(what.name())),
            Program::Aria2 => client.arg("-d").arg(into).arg("-o").arg(what.name()),
        };
        client.arg(format!("{}/{}", self.url, what.name()))
    }

    fn server(&self) -> Option<&Running> {
        Some(&self.server)
    }
}
