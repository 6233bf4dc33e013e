"""`python -m linq_source.simulator`: serves until told to stop, and says in one sentence why it cannot."""

import signal
import subprocess
import sys

import httpx
import pytest

from linq_source.simulator import Simulator, World

COMMAND = [sys.executable, "-m", "linq_source.simulator", "--port", "0", "--chats", "3", "--messages", "40"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "--token", "mine", "--phone-numbers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        settings = dict(word.split("=", 1) for word in line.split() if "=" in word)
        answer = httpx.get(
            settings["SOURCES__LINQ__BASE_URL"] + "/api/partner/v2/phone_numbers",
            headers={"X-LINQ-INTEGRATION-TOKEN": settings["SOURCES__LINQ__INTEGRATION_TOKEN"]},
            verify=False,
        )
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert len(answer.json()["phone_numbers"]) == 2
    assert settings["SOURCES__LINQ__INTEGRATION_TOKEN"] == "mine"
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_port_in_use_is_one_sentence_and_exit_1() -> None:
    with Simulator(World.empty()) as sim:
        result = subprocess.run(
            [*COMMAND, "--port", str(sim.port)], capture_output=True, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith(f"Cannot listen on 127.0.0.1 port {sim.port} (--host, --port)")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "70000"],
        ["--port", "x"],
        ["--latency-ms", "nan"],
        ["--latency-ms", "-1"],
        ["--requests-per-second", "0"],
        ["--phone-numbers", "0"],
        ["--chats", "0"],
        ["--seed", "x"],
        ["--nonsense"],
    ],
)
def test_a_bad_option_is_named_and_exit_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from linq_source.simulator.__main__ import main

    with pytest.raises(SystemExit) as raised:
        main(options)
    assert raised.value.code == 2
    assert options[0] in capsys.readouterr().err
