import pytest

from saqiya.errors import ConfigError
from saqiya.loop.config import (
    BootstrapConfig,
    PhasesConfig,
    RunConfig,
    StoreConfig,
    TaskConfig,
    read_config,
    read_store,
    template,
)

TASK = TaskConfig("carry-puck", "released", "arm")


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "saqiya.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def whole():
    return template(site="tiny", task=TASK, trainer="ridge", run=RunConfig(seed=3, workers=0))


def test_a_new_file_reads_back_as_what_it_was_made_from(written, whole):
    config = read_config(written(whole))
    assert (config.task, config.site.name, config.run) == (TASK, "tiny", RunConfig(3, 0))
    assert config.train.trainer == "ridge"
    assert config.bootstrap == BootstrapConfig()


def test_every_default_that_is_shown_is_the_default(written, whole):
    shown = "\n".join(line.removeprefix("# ") for line in whole.splitlines())
    assert read_config(written(shown)) == read_config(written(whole))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rolouts = 5", "deploy.rolouts: unknown key; known here: rollouts"),
        ('rollouts = "many"', "deploy.rollouts: must be int, not str"),
        ("rollouts = true", "deploy.rollouts: must be int, not bool"),
        ("rollouts = 2.5", "deploy.rollouts: must be int, not float"),
        ("rollouts = 0", "deploy.rollouts: must be at least 1, not 0"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(written, whole, line, said):
    path = written(whole.replace("[deploy]", f"[deploy]\n{line}"))
    number = path.read_text().splitlines().index(line) + 1
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert caught.value.what == said
    assert caught.value.subject == f"{path}:{number}"


def test_the_gates_own_rules_are_named_by_section(written, whole):
    with pytest.raises(ConfigError, match=r"gate.margin: 0.9 is not in \(0, 0.5\]"):
        read_config(written(whole.replace("[gate]", "[gate]\nmargin = 0.9")))


def test_the_same_key_in_another_section_is_not_blamed(written, whole):
    path = written(whole.replace("[stop]", "[stop]\ntarget = 7"))
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert caught.value.subject.endswith(f":{path.read_text().splitlines().index('target = 7') + 1}")


def test_a_missing_section_is_named(written):
    with pytest.raises(ConfigError, match="the key 'site' is missing"):
        read_config(written('[task]\nname = "a"\ncriterion = "b"\nembodiment = "c"\n'))


def test_what_is_no_toml_says_where(written):
    with pytest.raises(ConfigError, match="line 2"):
        read_config(written("[task]\nname carry\n"))


def test_an_unknown_word_lists_the_known_ones(written, whole):
    with pytest.raises(ConfigError, match=r"gate\.arms: must be one of"):
        read_config(written(whole.replace("[gate]", '[gate]\narms = "tangled"')))


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="saqiya init"):
        read_config(tmp_path / "saqiya.toml")


def test_where_the_bytes_live_is_read_alone_and_secrets_come_from_the_environment(written, tmp_path, monkeypatch):
    assert read_store(tmp_path / "saqiya.toml") == StoreConfig()
    assert StoreConfig().home(lambda: 0) is None
    store = read_store(written('[store]\nobjects = "s3://bucket/prefix"\nregion = "eu-central-1"\n'))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert store.home(lambda: 0).subject == "s3://bucket/prefix"
    with pytest.raises(ConfigError, match=r"store\.secret: unknown key"):
        read_store(written('[store]\nsecret = "x"\n'))
    with pytest.raises(ConfigError, match="must be a section"):
        read_store(written('store = "s3://bucket"\n'))
    with pytest.raises(ConfigError, match="names no bucket"):
        read_store(written('[store]\nobjects = "bucket"\n')).home(lambda: 0)


@pytest.mark.parametrize(
    ("low", "phase"), [(0.0, "bootstrap"), (0.45, "mining"), (0.79, "active_learning"), (0.99, "self_sustaining")]
)
def test_the_phase_follows_the_lower_bound(low, phase):
    assert PhasesConfig().current(low) == phase


@pytest.mark.parametrize(
    ("catalog", "what"),
    [
        ("postgresql+psycopg://ann:hunter2@db/saqiya", "SAQIYA_CATALOG_PASSWORD"),
        ("mysql://ann@db/saqiya", "mysql is not known"),
        ("postgresql+psycopg://ann@db", "not known"),
        ("nonsense", "is no URL"),
    ],
)
def test_a_catalog_is_a_url_without_its_password(tmp_path, catalog, what):
    (tmp_path / "saqiya.toml").write_text(f'[store]\ncatalog = "{catalog}"\n')
    with pytest.raises(ConfigError, match=what) as caught:
        read_store(tmp_path / "saqiya.toml").database()
    assert "hunter2" not in str(caught.value)


def test_the_catalogs_password_comes_from_the_environment(tmp_path, monkeypatch):
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed")
    (tmp_path / "saqiya.toml").write_text('[store]\ncatalog = "postgresql+psycopg://ann@db/saqiya"\n')
    monkeypatch.setenv("SAQIYA_CATALOG_PASSWORD", "hunter2")
    found = read_store(tmp_path / "saqiya.toml").database()
    assert (found.password, "hunter2" in repr(found)) == ("hunter2", False)
