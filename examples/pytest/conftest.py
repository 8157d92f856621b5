"""One database for each worker of pytest-xdist: clones of the database "app", which is started once.

    npx snapvol start app --image postgres:17 --port 0 --key-files 'db/**' --seed ./db/seed.sh
    pytest -n 4 --dist loadfile

With loadfile, all tests of a module run on one worker: its database is reset once for them.
"""

import shlex
import subprocess

import pytest

clones = []  # of this session; the workers have none, but are handed one each
free = []


def run(command):
    done = subprocess.run(shlex.split(f"npx {command} --quiet"), capture_output=True, text=True)
    if done.returncode != 0:
        raise pytest.UsageError(done.stderr)
    return done.stdout.splitlines()


def is_worker(config):
    return hasattr(config, "workerinput")


def pytest_sessionstart(session):
    if not is_worker(session.config):
        count = getattr(session.config.option, "numprocesses", None) or 1
        urls = run(f"snapvol clone app --count {count}")
        clones.extend({"name": f"app-{at}", "url": url} for at, url in enumerate(urls, 1))
        free.extend(clones)


def pytest_sessionfinish():
    for clone in clones:
        run(f"snapvol stop {clone['name']}")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["database"] = free.pop(0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    free.append(node.workerinput["database"])  # for the worker that replaces one that crashed


@pytest.fixture(scope="session")
def database(request):
    """The worker's own, with its "name" and "url"."""
    config = request.config
    return config.workerinput["database"] if is_worker(config) else free[0]


@pytest.fixture(scope="module")
def fresh_database(database):
    """The same as it was at the start, for modules that change it. Connect after this: who is connected is cut off."""
    run(f"snapvol reset {database['name']}")
    return database
