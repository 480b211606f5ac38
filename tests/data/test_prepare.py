import http.server
import socket
import threading

import pytest

from cnnlab.data import prepare as prepare_module
from cnnlab.data.prepare import prepare, unreachable_hosts
from cnnlab.errors import UserError
from experiments import prepare_data


def test_a_prepared_set_is_returned_at_once(write_set, capsys):
    data_dir, folder = write_set()
    assert prepare("shapes", data_dir) == folder
    config = prepare_data.Config(dataset="shapes", data_dir=data_dir)
    assert prepare_data.run(config) == folder
    assert str(folder) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "reason"), [("mnits", "did you mean mnist"), ("glyphs", "is drawn")]
)
def test_what_cannot_be_prepared_is_refused(tmp_path, name, reason):
    with pytest.raises(UserError, match=f"^dataset: '{name}' .*{reason}"):
        prepare(name, str(tmp_path))


def test_a_missing_tensorflow_is_named_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "_NEEDED", ("no_such_module",))
    with pytest.raises(UserError, match=r"no_such_module .*-e '.\[prepare\]'"):
        prepare("mnist", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "_NEEDED", ())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="^data_dir: .*/file/below: "):
        prepare("mnist", str(tmp_path / "file/below"))


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(403)

    def log_message(self, *arguments):
        pass


def test_a_refusal_is_an_answer_and_silence_is_not(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    silent = socket.create_server(("127.0.0.1", 0))
    server = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hosts = [f"127.0.0.1:{port}" for port in (server.server_port, silent_port(silent))]
    try:
        urls = [f"http://{host}/data.gz" for host in hosts]
        assert unreachable_hosts(urls, seconds=1.0) == hosts[1:]
    finally:
        server.shutdown()
        server.server_close()
        silent.close()


def silent_port(listener):
    return listener.getsockname()[1]


def test_no_urls_need_no_host():
    assert unreachable_hosts([]) == []
