"""The other proxies, each set up to let out to one name and port, and to log, where it can. They resolve that name by the enclosure's /etc/hosts."""

import os
import pathlib
import pwd
import shutil

from subjects import NAME, Subject, free_port


class Peer(Subject):
    """Another proxy: `config` is its file, with what stands in braces filled in."""

    config = ""
    user = "nobody"

    @classmethod
    def command(cls, path):
        raise NotImplementedError

    def start(self, way, load):
        port = free_port()
        origin_port = self.settings.origin_port
        path = self.directory / "peer.conf"
        path.write_text(self.config.format(dir=self.directory, port=port, origin=self.settings.origin, origin_port=origin_port, name=NAME,
                                           workers=self.settings.workers, user=self.user))
        (self.directory / "hosts").write_text(f"127.0.0.1 {NAME}\n")
        (self.directory / "names").write_text(f"^{NAME}$\n")
        if os.geteuid() == 0 and self.user in {entry.pw_name for entry in pwd.getpwall()}:
            for entry in (self.directory, *self.directory.iterdir()):
                shutil.chown(entry, self.user)
        self.run(*self.command(path))
        self.await_port(port)


class HAProxy(Peer):
    name = program = "haproxy"
    ways = ("sni",)
    config = """
global
    nbthread {workers}
    maxconn 9000
defaults
    mode tcp
    timeout client 1h
    timeout server 1h
    timeout connect 5s
frontend in
    bind 127.0.0.1:{port}
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend out if {{ req.ssl_sni -i {name} }}
backend out
    server origin {origin}
"""

    @classmethod
    def command(cls, path):
        return ["haproxy", "-db", "-f", path]


class Nginx(Peer):
    name = program = "nginx"
    ways = ("sni",)
    MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    config = """
{module}
user {user} nogroup;
daemon off;
pid {dir}/pid;
error_log {dir}/log;
worker_processes {workers};
worker_rlimit_nofile 20000;
events {{ worker_connections 18000; }}
stream {{
    map $ssl_preread_server_name $out {{ {name} {origin}; }}
    server {{ listen 127.0.0.1:{port}; ssl_preread on; proxy_pass $out; proxy_timeout 1h; }}
}}
"""

    def start(self, way, load):
        self.config = self.config.replace("{module}", f"load_module {self.MODULE};" if self.MODULE.exists() else "")
        super().start(way, load)

    @classmethod
    def command(cls, path):
        return ["nginx", "-c", path]


class Squid(Peer):
    name = program = "squid"
    ways = ("connect",)
    user = "proxy"
    config = """
http_port 127.0.0.1:{port}
workers 1
pid_filename {dir}/pid
cache deny all
cache_log {dir}/cache.log
access_log stdio:{dir}/access.log
hosts_file {dir}/hosts
max_filedescriptors 20000
client_persistent_connections off
shutdown_lifetime 1 second
acl allowed dstdomain {name}
acl origin_port port {origin_port}
http_access allow CONNECT allowed origin_port
http_access deny all
"""

    @classmethod
    def command(cls, path):
        return ["squid", "-N", "-f", path]


class Tinyproxy(Peer):
    name = program = "tinyproxy"
    ways = ("connect",)
    config = """
Port {port}
Listen 127.0.0.1
Timeout 3600
MaxClients 12000
LogFile "{dir}/access.log"
LogLevel Connect
ConnectPort {origin_port}
Filter "{dir}/names"
FilterType ere
FilterDefaultDeny Yes
"""

    @classmethod
    def command(cls, path):
        return ["tinyproxy", "-d", "-c", path]


class Apache(Peer):
    name = program = "apache2"
    ways = ("connect",)
    config = """
ServerRoot {dir}
ServerName bench.test
PidFile {dir}/pid
ErrorLog {dir}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_connect_module /usr/lib/apache2/modules/mod_proxy_connect.so
User {user}
ServerLimit 96
ThreadsPerChild 64
MaxRequestWorkers 6144
LogFormat "%h %t %r %s %b" line
CustomLog {dir}/access.log line
ProxyRequests On
AllowCONNECT {origin_port}
Timeout 3600
KeepAlive Off
<ProxyMatch ".*">
    Require all denied
</ProxyMatch>
<ProxyMatch "^{name}:{origin_port}$">
    Require all granted
</ProxyMatch>
"""

    @classmethod
    def command(cls, path):
        return ["apache2", "-D", "FOREGROUND", "-f", path]


PEERS = (HAProxy, Nginx, Squid, Tinyproxy, Apache)
