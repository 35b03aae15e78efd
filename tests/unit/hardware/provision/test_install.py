"""Claims about installing: only a whole, true bundle for this very device changes its folder."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from backend_sync.agent.config import AgentConfig
from edge.certificates import make_csr
from edge.config import load_config, read_toml, write_config
from edge.errors import DeviceFault, LastmileError, LocalError, PeerError
from edge.keys import FileIdentity, hpke_seal
from edge.policy import open_policy
from edge.purposes import LOOKUP_INFO
from hardware.drivers.clock import SystemRandomness
from hardware.provision.bundle import BUNDLE_BYTES_MAX
from hardware.provision.install import Place, install, merge, read_installed
from hardware.provision.request import Site
from kiosk_app.config import KioskConfig, read_hex
from tests.unit.hardware.provision.bank import (
    LOOKUP_KEY,
    NOW_US,
    YEAR_US,
    Bank,
    prepare_gateway,
    prepare_kiosk,
    spell,
)
from vehicle_gateway.config import GatewayConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Bundle = dict[str, Any]

RANDOMNESS = SystemRandomness()
NOWHERE = Place()


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """A bank with keys and certificates."""
    return Bank(tmp_path / "bank")


@pytest.fixture
def kiosk(tmp_path: Path) -> Site:
    """The folder of a prepared kiosk."""
    return prepare_kiosk(tmp_path / "kiosk")[0]


def bundle_for(bank: Bank, site: Site) -> Bundle:
    return bank.answer(json.loads(site.request.read_text()))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ------------------------------------------------------------------ the good day
def test_a_kiosk_gets_keys_certificates_and_settings(bank: Bank, kiosk: Site) -> None:
    done = install(
        kiosk, spell(bundle_for(bank, kiosk)), Place(village="柳树村"), NOW_US, RANDOMNESS
    )
    assert [path.name for path in done.settings] == ["kiosk.toml", "agent.toml"]
    assert kiosk.lookup_key.stat().st_mode & 0o077 == 0
    config = load_config(done.settings[0], KioskConfig)
    assert (config.kiosk.device, config.kiosk.village) == ("kiosk-1", "柳树村")
    assert read_hex(config.kiosk.lookup_key, 32, "lookup key") == LOOKUP_KEY
    assert read_hex(config.core.catalogue_public, 65, "key") == bank.catalogue.public_bytes
    assert (config.devices.pad, config.devices.pad_dir) == ("pad-1", kiosk.pad)
    assert config.screens.single_screen is False


def test_the_agent_finds_everything_that_its_settings_name(bank: Bank, kiosk: Site) -> None:
    install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
    config = load_config(kiosk.directory / "agent.toml", AgentConfig)
    for path in (config.agent.identity, config.agent.certificate, config.core.ca):
        assert path.is_file()
    public = bytes.fromhex(config.core.signing_public.read_text())
    assert public == bank.signing.public_bytes
    counter = load_config(kiosk.directory / "kiosk.toml", KioskConfig).kiosk
    assert config.agent.journal == counter.data_dir / "journal.db"
    assert config.agent.mirror == counter.mirror
    assert counter.data_dir.is_dir()


def test_the_vehicle_box_takes_its_settings(bank: Bank, tmp_path: Path) -> None:
    site, _ = prepare_gateway(tmp_path / "box")
    install(site, spell(bundle_for(bank, site)), Place(vehicle="bus-17"), NOW_US, RANDOMNESS)
    config = load_config(site.directory / "gateway.toml", GatewayConfig)
    assert (config.gateway.device, config.gateway.vehicle) == ("box-1", "bus-17")
    assert config.broker is not None
    assert (config.broker.host, config.broker.port) == ("127.0.0.1", 8883)
    for path in (config.gateway.identity, config.broker.ca, config.broker.certificate):
        assert path.is_file()
    policy = open_policy(config.core.policy.read_bytes(), bank.signing_verify, "box-1")
    assert policy.hpke == bank.hpke.public_bytes
    assert not site.lookup_key.exists()


def test_installing_twice_changes_nothing(bank: Bank, kiosk: Site) -> None:
    bundle = spell(bundle_for(bank, kiosk))
    install(kiosk, bundle, Place(village="柳树村"), NOW_US, RANDOMNESS)
    before = contents(kiosk.directory)
    install(kiosk, bundle, NOWHERE, NOW_US, RANDOMNESS)
    assert contents(kiosk.directory) == before


def test_what_a_person_set_is_kept_and_what_the_bank_says_is_renewed(
    bank: Bank, kiosk: Site
) -> None:
    bundle = bundle_for(bank, kiosk)
    install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    path = kiosk.directory / "agent.toml"
    settings = read_toml(path)
    write_config(path, {**settings, "contact": {"interval_s": 60}})
    bundle["core"]["url"] = "https://core.bank.example:8443"
    install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    config = load_config(path, AgentConfig)
    assert config.contact.interval_s == 60
    assert config.core.url == "https://core.bank.example:8443"


def test_screens_once_named_stay_named(bank: Bank, kiosk: Site) -> None:
    bundle = spell(bundle_for(bank, kiosk))
    install(kiosk, bundle, Place(single_screen=True), NOW_US, RANDOMNESS)
    two = Place(operator_screen="HDMI-1", customer_screen="HDMI-2")
    install(kiosk, bundle, two, NOW_US, RANDOMNESS)
    install(kiosk, bundle, Place(village="柳树村"), NOW_US, RANDOMNESS)
    screens = read_toml(kiosk.directory / "kiosk.toml")["screens"]
    assert screens == {"operator": "HDMI-1", "customer": "HDMI-2", "single_screen": False}


def test_a_certificate_is_renewed_under_the_same_root(bank: Bank, kiosk: Site) -> None:
    first = install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
    second = install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
    assert first.certificate.serial_number != second.certificate.serial_number
    assert read_installed(kiosk)[1] == second.certificate


def test_merge_lets_the_bank_win_over_a_person_and_a_person_over_the_default() -> None:
    merged = merge(
        {"a": {"x": 1, "y": 1}, "own": {"z": 1}}, {"a": {"x": 2}}, {"a": {"y": 0, "w": 0}}
    )
    assert merged == {"a": {"x": 2, "y": 1, "w": 0}, "own": {"z": 1}}


# ------------------------------------------------------------------ bad bundles
def _without(name: str) -> Callable[[Bundle], object]:
    return lambda bundle: bundle.pop(name)


def _with(**changed: Any) -> Callable[[Bundle], object]:
    return lambda bundle: bundle.update(changed)


def _key(name: str, value: str) -> Callable[[Bundle], object]:
    return lambda bundle: bundle["core"].update({name: value})


def _tampered(bundle: Bundle) -> None:
    """Flips a bit of the certificate's signature, which is at its very end."""
    chain = x509.load_pem_x509_certificates(bundle["certificate"].encode())
    body = bytearray(chain[0].public_bytes(Encoding.DER))
    body[-1] ^= 1
    leaf = x509.load_der_x509_certificate(bytes(body)).public_bytes(Encoding.PEM)
    rest = b"".join(each.public_bytes(Encoding.PEM) for each in chain[1:])
    bundle["certificate"] = (leaf + rest).decode()


def _leaf_only(bundle: Bundle) -> None:
    chain = x509.load_pem_x509_certificates(bundle["certificate"].encode())
    bundle["certificate"] = chain[0].public_bytes(Encoding.PEM).decode()


def _issuing_only(bundle: Bundle) -> None:
    anchors = x509.load_pem_x509_certificates(bundle["ca"].encode())
    kept = [each for each in anchors if each.subject != each.issuer]
    bundle["ca"] = kept[0].public_bytes(Encoding.PEM).decode()


BAD: dict[str, tuple[Callable[[Bundle], object], str]] = {
    "of another version": (_with(v=2), "bundle-shape"),
    "with a field we do not know": (_with(extra=1), "bundle-shape"),
    "without its certificate": (_without("certificate"), "bundle-shape"),
    "without the core": (_without("core"), "bundle-shape"),
    "without saying whether there is a broker": (_without("broker"), "bundle-shape"),
    "with a number for a name": (_with(device=7), "bundle-shape"),
    "for an unknown kind": (_with(kind="boat"), "bundle-shape"),
    "with a broker's port in words": (
        _with(broker={"host": "x", "port": "mqtt"}),
        "bundle-shape",
    ),
    "for another device": (_with(device="kiosk-2"), "bundle-device"),
    "for another kind": (_with(kind="gateway"), "bundle-device"),
    "with an address without TLS": (_key("url", "http://core"), "bundle-url"),
    "with a key that is no hexadecimal": (_key("signing_public", "zz"), "bundle-key"),
    "with a key that is too short": (_key("hpke_public", "04"), "bundle-key"),
    "with a key off the curve": (_key("catalogue_public", "04" + "11" * 64), "bundle-key"),
    "with no certificate in its place": (_with(certificate="none"), "bundle-certificate"),
    "with letters outside of PEM": (_with(certificate="证书"), "bundle-certificate"),
    "with a tampered certificate": (_tampered, "bundle-chain"),
    "without the issuing certificate": (_leaf_only, "bundle-chain"),
    "without a root": (_issuing_only, "bundle-root"),
    "without a lookup key": (_with(lookup_key_sealed=None), "bundle-lookup-key"),
    "with a lookup key that is no hexadecimal": (
        _with(lookup_key_sealed="zz"),
        "bundle-lookup-key",
    ),
    "with a policy, which is a vehicle box's": (_with(policy="00"), "bundle-policy"),
    "without saying whether there is a policy": (_without("policy"), "bundle-shape"),
    "with a lookup key cut short": (_with(lookup_key_sealed="04" * 40), "bundle-lookup-key"),
}


@pytest.mark.parametrize("kind", BAD)
def test_nothing_is_written_for_a_bundle(kind: str, bank: Bank, kiosk: Site) -> None:
    damage, code = BAD[kind]
    bundle = copy.deepcopy(bundle_for(bank, kiosk))
    damage(bundle)
    before = contents(kiosk.directory)
    with pytest.raises(PeerError) as caught:
        install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == code
    assert contents(kiosk.directory) == before


def _policies(bank: Bank, stranger: Bank) -> dict[str, str | None]:
    """Policies that do not hold for box-1."""
    return {
        "none": None,
        "no hexadecimal": "zz",
        "an empty one": "",
        "another box's": bank.policy("box-2").hex(),
        "another bank's": stranger.policy("box-1").hex(),
        "ciphers that this machine has not": bank.policy("box-1", algs=(99,)).hex(),
        "a changed one": bank.policy("box-1").hex()[:-2] + "00",
    }


def test_nothing_is_written_for_a_policy_that_does_not_hold(bank: Bank, tmp_path: Path) -> None:
    site, _ = prepare_gateway(tmp_path / "box")
    before = contents(site.directory)
    for policy in _policies(bank, Bank(tmp_path / "stranger")).values():
        bundle = {**bundle_for(bank, site), "policy": policy}
        with pytest.raises(PeerError) as caught:
            install(site, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
        assert caught.value.code == "bundle-policy"
        assert contents(site.directory) == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10_000, bytes(BUNDLE_BYTES_MAX + 1)]
)
def test_what_is_no_json_object_is_refused(content: bytes, kiosk: Site) -> None:
    with pytest.raises(PeerError) as caught:
        install(kiosk, content, NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == "bundle-shape"


def test_a_bundle_that_was_copied_half_is_refused(bank: Bank, kiosk: Site) -> None:
    whole = spell(bundle_for(bank, kiosk))
    for length in range(0, len(whole) - 2, 97):
        with pytest.raises(PeerError):
            install(kiosk, whole[:length], NOWHERE, NOW_US, RANDOMNESS)


def test_a_certificate_for_a_former_key_is_refused(bank: Bank, kiosk: Site, tmp_path: Path) -> None:
    bundle = bundle_for(bank, kiosk)
    former = FileIdentity.create(tmp_path / "former.pem", "kiosk-1")
    bundle["certificate"] = bank.pki.issue_device(make_csr(former), "kiosk-1")
    with pytest.raises(PeerError, match="another key") as caught:
        install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == "bundle-other-key"


def test_a_lookup_key_sealed_to_another_kiosk_is_refused(
    bank: Bank, kiosk: Site, tmp_path: Path
) -> None:
    _, other = prepare_kiosk(tmp_path / "other", "kiosk-2")
    sealed = hpke_seal(bytes.fromhex(other["hpke_public"]), LOOKUP_KEY, LOOKUP_INFO).hex()
    bundle = {**bundle_for(bank, kiosk), "lookup_key_sealed": sealed}
    with pytest.raises(PeerError, match="not sealed to this device"):
        install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)


def test_a_chain_to_another_banks_root_is_refused(bank: Bank, kiosk: Site, tmp_path: Path) -> None:
    stranger = Bank(tmp_path / "stranger", "bank")
    bundle = {**bundle_for(bank, kiosk), "ca": stranger.pki.ca.read_text()}
    with pytest.raises(PeerError) as caught:
        install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == "bundle-chain"


def test_an_installed_device_does_not_move_to_another_core(
    bank: Bank, kiosk: Site, tmp_path: Path
) -> None:
    install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
    before = contents(kiosk.directory)
    stranger = Bank(tmp_path / "stranger", "bank")
    with pytest.raises(PeerError, match="retire it there") as caught:
        install(kiosk, spell(bundle_for(stranger, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == "bundle-root"
    assert contents(kiosk.directory) == before


def test_a_key_on_another_curve_is_refused(bank: Bank, kiosk: Site) -> None:
    bundle = bundle_for(bank, kiosk)
    leaf = x509.load_pem_x509_certificate(bundle["certificate"].encode())
    key = ec.generate_private_key(ec.SECP384R1())
    issuing = FileIdentity.load(bank.pki.ca.with_name("issuing.key")).private_key
    builder = x509.CertificateBuilder(leaf.issuer, leaf.subject, key.public_key(), 7)
    dated = builder.not_valid_before(leaf.not_valid_before_utc).not_valid_after(
        leaf.not_valid_after_utc
    )
    forged = dated.sign(issuing, hashes.SHA256())
    bundle["certificate"] = forged.public_bytes(Encoding.PEM).decode()
    with pytest.raises(PeerError) as caught:
        install(kiosk, spell(bundle), NOWHERE, NOW_US, RANDOMNESS)
    assert caught.value.code == "bundle-curve"


def test_a_box_without_a_broker_is_refused(bank: Bank, tmp_path: Path) -> None:
    site, request = prepare_gateway(tmp_path / "box")
    with pytest.raises(PeerError, match="names no broker"):
        install(site, spell(bank.answer(request, broker=None)), NOWHERE, NOW_US, RANDOMNESS)


# ------------------------------------------------------------------ the place and the disk
@pytest.mark.parametrize(
    ("wall_us", "code"),
    [
        (0, "clock"),
        (NOW_US + 20 * YEAR_US, "clock"),
        (NOW_US - YEAR_US // 2, "bundle-early"),
        (NOW_US + 10 * YEAR_US, "bundle-late"),
    ],
)
def test_with_a_wrong_clock_nothing_is_installed(
    wall_us: int, code: str, bank: Bank, kiosk: Site
) -> None:
    before = contents(kiosk.directory)
    with pytest.raises(LastmileError, match="clock") as caught:
        install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, wall_us, RANDOMNESS)
    assert caught.value.code == code
    assert contents(kiosk.directory) == before


def test_a_folder_that_was_not_prepared_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="lastmile-provision prepare"):
        install(Site(tmp_path), b"{}", NOWHERE, NOW_US, RANDOMNESS)


def test_a_folder_without_its_key_says_so(bank: Bank, kiosk: Site) -> None:
    bundle = spell(bundle_for(bank, kiosk))
    kiosk.identity.unlink()
    with pytest.raises(DeviceFault, match="Provision this device first"):
        install(kiosk, bundle, NOWHERE, NOW_US, RANDOMNESS)


def test_an_interrupted_installation_is_mended_by_the_next(bank: Bank, kiosk: Site) -> None:
    bundle = spell(bundle_for(bank, kiosk))
    in_the_way = kiosk.directory / ".agent.toml.new"
    in_the_way.mkdir()
    with pytest.raises(DeviceFault, match="then repeat"):
        install(kiosk, bundle, NOWHERE, NOW_US, RANDOMNESS)
    shutil.rmtree(in_the_way)
    install(kiosk, bundle, NOWHERE, NOW_US, RANDOMNESS)
    assert load_config(kiosk.directory / "agent.toml", AgentConfig).agent.device == "kiosk-1"


def test_settings_that_somebody_broke_are_named(bank: Bank, kiosk: Site) -> None:
    (kiosk.directory / "agent.toml").write_text("[agent")
    with pytest.raises(LocalError, match=r"agent\.toml is not TOML"):
        install(kiosk, spell(bundle_for(bank, kiosk)), NOWHERE, NOW_US, RANDOMNESS)
