"""The command line: what it accepts, what it prints where, and how it ends."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from dloader.cli import main


def demo(*options: str) -> int:
    """Run `dloader demo` on a small continent."""
    return main(["demo", "--continent", "AN", *options])


class TestCommand:
    @pytest.mark.parametrize(
        ("metadata", "printed"),
        [
            pytest.param(
                "Metadata-Version: 2.1\nName: dloader\nVersion: 9.8.7\n", "dloader 9.8.7\n", id="installed"
            ),
            pytest.param(None, "dloader (not installed)\n", id="on the path only"),
        ],
    )
    def test_version_is_that_of_the_distribution(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        metadata: str | None,
        printed: str,
    ) -> None:
        """`--version` prints what the installer wrote, and does not fail where nothing is installed."""
        if metadata is not None:
            (tmp_path / "dloader-9.8.7.dist-info").mkdir()
            (tmp_path / "dloader-9.8.7.dist-info" / "METADATA").write_text(metadata)
        import_module("email.message")  # what reads the metadata is looked up on the path too
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert (ended.value.code, capsys.readouterr().out) == (0, printed)

    def test_help_fits_80_columns(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`dloader demo --help` explains the options and the depths."""
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as ended:
            main(["demo", "--help"])
        printed = capsys.readouterr().out
        assert ended.value.code == 0
        assert "4  and the counties" in printed
        assert max(map(len, printed.splitlines())) <= 80

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param([], id="no command"),
            pytest.param(["demo", "--depth", "5"], id="too deep"),
            pytest.param(["demo", "--cities", "0"], id="no cities"),
            pytest.param(["demo", "--cities", "21"], id="too many cities"),
            pytest.param(["demo", "--cities", "few"], id="no number"),
        ],
    )
    def test_refuses_what_makes_no_sense(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        """A wrong command line ends with 2 and says what is wrong."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "error: " in capsys.readouterr().err


class TestDemo:
    def test_prints_the_comparison(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`dloader demo` ends with 0 and a conclusion."""
        assert demo("--cities", "1") == 0
        assert "All trees are equal" in capsys.readouterr().out

    def test_is_readable_on_a_terminal_that_knows_only_ascii(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Letters that the terminal cannot show do not end the demo."""
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", terminal)
        assert demo() == 0
        assert b"Port-aux-Fran?ais" in terminal.buffer.getvalue()

    def test_says_what_is_wrong_without_a_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What the user can put right is one line on stderr, and 1."""
        assert main(["demo", "--continent", "Atlantis"]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("dloader: no continent 'Atlantis': ")

    @pytest.mark.parametrize("package", ["aiosqlite", "pydantic", "rich", "sqlalchemy"])
    def test_without_its_extra_says_how_to_install_it(
        self,
        imported_anew: Callable[..., None],
        capsys: pytest.CaptureFixture[str],
        package: str,
    ) -> None:
        """Whichever package is missing, the answer is the line to type, and 2."""
        imported_anew("dloader.demo", "dloader.resolver", without=package)
        assert main(["demo"]) == 2
        assert 'pip install "dloader[demo]"' in capsys.readouterr().err

    @pytest.mark.usefixtures("interruptible")
    def test_ctrl_c_ends_it_quietly(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An interrupt is one line and the shell's code for it, not a traceback."""

        class Impatient(io.StringIO):
            """A stream whose reader presses Ctrl-C at the first word."""

            def write(self, text: str, /) -> int:
                signal.raise_signal(signal.SIGINT)
                return len(text)

        monkeypatch.setattr(sys, "stdout", Impatient())
        assert demo() == 130
        assert capsys.readouterr().err == "dloader: interrupted\n"

    @pytest.mark.parametrize(
        "command", ["demo --json", "trace {} --verbose", "plan dloader.demo.models:Continent --svg"]
    )
    def test_a_reader_that_leaves_ends_it_quietly(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        command: str,
    ) -> None:
        """`dloader demo --json | head` leaves no word, also not when the interpreter ends."""
        file = tmp_path / "demo.json"
        assert demo(f"--trace={file}", "--depth=1") == 0
        capsys.readouterr()
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w", encoding="utf-8", buffering=1) as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert main(command.format(file).split()) == 1
        assert capsys.readouterr().err == ""

    def test_json_and_trace_together_are_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each of them says what stands on stdout, alone."""
        with pytest.raises(SystemExit):
            demo("--json", "--trace")
        assert "argument --trace: not allowed with argument --json" in capsys.readouterr().err

    def test_works_as_a_process_in_a_pipe(self) -> None:
        """In a process of its own, without a terminal, stdout is the JSON and stderr is empty."""
        command = [sys.executable, "-c", "import sys; from dloader.cli import main; sys.exit(main())"]
        options = ["demo", "--json", "--continent", "OC", "--depth", "1"]
        done = subprocess.run([*command, *options], capture_output=True, check=True)
        (tree,) = json.loads(done.stdout)
        assert tree["name"] == "Oceania"
        assert done.stderr == b""


class TestDemoTrace:
    def test_prints_what_was_loaded_and_writes_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`dloader demo --trace=FILE` prints a line per batch, and writes the file."""
        file = tmp_path / "demo.html"
        assert demo(f"--trace={file}") == 0
        printed = capsys.readouterr().out
        assert printed.startswith("dloader demo --depth 2: Resolver().resolve(list[Continent])\n")
        assert "No loader was asked in a loop.\n" in printed
        assert printed.endswith(f"Written: {file}\n")
        assert max(map(len, printed.splitlines()[:-1])) <= 80
        assert "CountriesOfContinent" in file.read_text("utf-8")

    def test_prints_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`dloader demo --trace` writes nothing."""
        assert demo("--trace") == 0
        assert "Written" not in capsys.readouterr().out

    def test_refuses_a_file_of_another_kind(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What cannot be written is said in one line."""
        assert demo(f"--trace={tmp_path / 'demo.txt'}") == 1
        assert capsys.readouterr().err.startswith("dloader: Trace.save() writes .html, .json")


class TestTrace:
    @pytest.fixture
    def saved(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
        """The file of a trace."""
        file = str(tmp_path / "saved.json")
        assert demo(f"--trace={file}") == 0
        capsys.readouterr()
        return file

    def test_prints_a_saved_trace(self, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
        """As it was printed when it was made."""
        assert main(["trace", saved, "--verbose"]) == 0
        assert capsys.readouterr().out.startswith("dloader demo --depth 2")

    def test_converts_it(self, saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """`--output` says into what by its suffix."""
        for suffix in (".html", ".json", ".chrome.json"):
            assert main(["trace", saved, "-o", str(tmp_path / f"x{suffix}")]) == 0
            assert (tmp_path / f"x{suffix}").stat().st_size > 1_000
        assert capsys.readouterr().out.count("Written: ") == 3

    def test_compares_two(self, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Two files are before and after."""
        assert main(["trace", saved, saved]) == 0
        assert capsys.readouterr().out.split()[:2] == ["before", "after"]

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param(["missing.json"], id="no such file"),
            pytest.param(["SAVED", "SAVED", "SAVED"], id="three"),
            pytest.param(["SAVED", "-o", "x.txt"], id="another kind"),
            pytest.param(["SAVED", "SAVED", "-o", "x.html"], id="two into one"),
        ],
    )
    def test_says_what_is_wrong(
        self, saved: str, capsys: pytest.CaptureFixture[str], more: list[str]
    ) -> None:
        """In one line on stderr, with 1."""
        assert main(["trace", *(word.replace("SAVED", saved) for word in more)]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("dloader: ")
        assert len(printed.err.splitlines()) == 1

    @pytest.mark.parametrize(
        ("encoding", "shown"), [("utf-8", "\u2588"), ("ascii", "#"), ("no such encoding", "#")]
    )
    def test_shows_what_the_terminal_can(
        self, saved: str, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
    ) -> None:
        """Blocks where the encoding has them; colours on a terminal, unless NO_COLOR is set."""

        class Terminal(io.StringIO):
            """A terminal of 100 columns."""

            def isatty(self) -> bool:
                return True

        Terminal.encoding = property(lambda self: encoding)  # type: ignore[assignment, misc]
        for no_color in (False, True):
            screen = Terminal()
            monkeypatch.setattr(sys, "stdout", screen)
            monkeypatch.setenv("COLUMNS", "100")
            monkeypatch.delenv("NO_COLOR", raising=False)
            if no_color:
                monkeypatch.setenv("NO_COLOR", "1")
            assert main(["trace", saved]) == 0
            assert shown in screen.getvalue()
            assert ("\x1b[" in screen.getvalue()) is not no_color
