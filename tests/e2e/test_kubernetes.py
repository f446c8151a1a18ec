"""The manifests of contrib/kubernetes: whether they agree with each other, with the image and with what exeat does. No cluster has a part in it."""

import ipaddress
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest
import urllib.error
import urllib.request

from harness import EXEAT, PATIENCE, EndToEndTest, plain_story, wait_until

try:
    import yaml
except ImportError:
    yaml = None

TOP = pathlib.Path(__file__).parents[2]
MANIFESTS = TOP / "contrib" / "kubernetes"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What a drain takes at most beside drain_delay and drain_timeout: exeat(8), STOPPING.
DRAIN_REST = 60 + 20


def read(path):
    return yaml.safe_load(path.read_text())


def resources(directory):
    """What its kustomization names, by kind and name."""
    found = [read(MANIFESTS / directory / name) for name in read(MANIFESTS / directory / "kustomization.yaml")["resources"]]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def selects(selector, labels):
    assert set(selector) <= {"matchLabels"}, "nothing else is understood here"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


class Place:
    """Who speaks, or is spoken to: a pod, or an address outside the cluster."""

    def __init__(self, namespace=None, pod=None, ip=None, policies=()):
        self.namespace, self.pod, self.ip, self.policies = namespace, pod, ip, policies

    def is_in(self, peer):
        """Whether an entry of `to` or `from` means it."""
        if "ipBlock" in peer:
            return self.ip is not None and self.is_in_block(peer["ipBlock"])
        if self.pod is None or "namespaceSelector" not in peer:  # who names no namespace means its own, and none here does
            return False
        return selects(peer["namespaceSelector"], self.namespace) and selects(peer.get("podSelector", {}), self.pod)

    def is_in_block(self, block):
        ip = ipaddress.ip_address(self.ip)
        return ip in ipaddress.ip_network(block["cidr"]) and not any(ip in ipaddress.ip_network(cidr) for cidr in block.get("except", []))

    def lets(self, direction, key, other, port, protocol):
        """Its own policies, of which one must allow where any has a say."""
        mine = [policy["spec"] for policy in self.policies if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], self.pod)]
        return not mine or any(any(map(other.is_in, rule[key])) and {"protocol": protocol, "port": port} in rule["ports"]
                               for spec in mine for rule in spec[direction.lower()])

    def reaches(self, other, port, protocol="TCP"):
        return self.lets("Egress", "to", other, port, protocol) and other.lets("Ingress", "from", self, port, protocol)


@plain_story
@unittest.skipIf(yaml is None, "SKIPPED: python3-yaml is not installed: contrib/test installs it")
class ManifestTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.door, self.agents = resources("exeat"), resources("agents")
        self.deployment = self.door["Deployment", "exeat"]["spec"]
        self.template = self.deployment["template"]
        self.pod = self.template["spec"]
        [self.container] = self.pod["containers"]
        self.conf = self.door["ConfigMap", "exeat"]["data"]["exeat.conf"]

    def setting(self, key):
        return re.search(rf"^{key} *= *(\S+)", self.conf, re.M)[1]


class Agreement(ManifestTest):
    def test_every_file_is_applied_and_names_no_namespace(self):
        for directory in ("exeat", "agents"):
            files = {path.name for path in (MANIFESTS / directory).glob("*.yaml")}
            named = read(MANIFESTS / directory / "kustomization.yaml")["resources"]
            self.assertEqual(files - {"kustomization.yaml"}, set(named))
            for one in resources(directory).values():
                self.assertNotIn("namespace", one["metadata"])

    def test_kustomize_reads_them(self):
        if shutil.which("kubectl") is None:
            self.skipTest("SKIPPED: kubectl is not installed")
        for directory in ("exeat", "agents"):
            ran = subprocess.run(["kubectl", "kustomize", MANIFESTS / directory], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(0, ran.returncode, ran.stderr)
            built = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(ran.stdout)}
            self.assertEqual(resources(directory), built)

    def test_every_selector_finds_the_pods(self):
        labels = self.template["metadata"]["labels"]
        service, budget = self.door["Service", "exeat"]["spec"], self.door["PodDisruptionBudget", "exeat"]["spec"]
        near = self.pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
        selectors = [{"matchLabels": service["selector"]}, self.deployment["selector"], budget["selector"], near["labelSelector"],
                     self.pod["topologySpreadConstraints"][0]["labelSelector"], self.door["NetworkPolicy", "exeat"]["spec"]["podSelector"]]
        for selector in selectors:
            self.assertTrue(selector["matchLabels"] and selects(selector, labels), selector)
        self.assertLess(budget["maxUnavailable"], self.deployment["replicas"])

    def test_ports_are_those_of_the_configuration(self):
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual({"connect": self.setting("address"), "metrics": self.setting("metrics")}, {name: f"0.0.0.0:{port}" for name, port in ports.items()})
        [service] = self.door["Service", "exeat"]["spec"]["ports"]
        self.assertEqual((ports["connect"], "connect"), (service["port"], service["targetPort"]))
        self.assertEqual(["IPv4"], self.door["Service", "exeat"]["spec"]["ipFamilies"], "a listener on 0.0.0.0 hears no IPv6")

    def test_files_are_where_the_pod_has_them(self):
        mounts = {mount["mountPath"]: mount["name"] for mount in self.container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        self.assertEqual(set(mounts.values()), set(volumes))
        config = pathlib.Path(self.container["args"][self.container["args"].index("-c") + 1])
        self.assertEqual("exeat", volumes[mounts[str(config.parent)]]["configMap"]["name"])
        self.assertIn(config.name, self.door["ConfigMap", "exeat"]["data"])
        self.assertIn("emptyDir", volumes[mounts[str(pathlib.Path(self.setting("listen").removeprefix("unix:")).parent)]])

    def test_a_drain_fits_into_the_grace_period(self):
        delay, timeout = (int(text[:-1]) * SECONDS[text[-1]] for text in (self.setting("drain_delay"), self.setting("drain_timeout")))
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], delay + timeout + DRAIN_REST)

    def test_no_power_is_given(self):
        image = (TOP / "contrib" / "oci" / "Containerfile").read_text()
        user = int(re.search(r"^USER (\d+):\1$", image, re.M)[1])
        pod, own = self.pod["securityContext"], self.container["securityContext"]
        self.assertEqual((True, user, user), (pod["runAsNonRoot"], pod["runAsUser"], pod["runAsGroup"]))
        self.assertEqual({"type": "RuntimeDefault"}, pod["seccompProfile"])
        self.assertEqual({"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, own)
        self.assertIs(False, self.pod["automountServiceAccountToken"])
        self.assertEqual({"hostNetwork", "hostPID", "hostIPC"} - set(self.pod), {"hostNetwork", "hostPID", "hostIPC"})

    def test_the_environment_is_what_exeat_says(self):
        said = subprocess.run([EXEAT, "env"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        expected = dict(re.findall(r"(\w+)='([^']*)'", said))
        data = self.agents["ConfigMap", "exeat-environment"]["data"]
        self.assertEqual(set(expected), set(data))
        self.assertEqual(expected["NO_PROXY"], data["NO_PROXY"])
        self.assertEqual(expected["no_proxy"], data["no_proxy"])
        self.assertEqual(data["HTTPS_PROXY"], data["https_proxy"])
        service = self.door["Service", "exeat"]
        self.assertRegex(data["HTTPS_PROXY"], rf"^http://{service['metadata']['name']}\.[a-z]+\.svc\.cluster\.local:{service['spec']['ports'][0]['port']}$")


class Walls(ManifestTest):
    """The network policies, read as their documentation says; whether a network does so is its own affair."""

    def setUp(self):
        super().setUp()
        agents = [one for (kind, _), one in self.agents.items() if kind == "NetworkPolicy"]
        self.agent = Place({"exeat.example/agents": "true"}, {"app": "job"}, policies=agents)
        self.exeat = Place({"exeat.example/door": "true"}, self.template["metadata"]["labels"], policies=[self.door["NetworkPolicy", "exeat"]])
        self.dns = Place({"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"})
        self.prometheus = Place({"exeat.example/monitoring": "true"}, {"app": "prometheus"})
        self.stranger = Place({}, self.template["metadata"]["labels"])

    def test_agents_have_no_other_way_out(self):
        self.assertTrue(self.agent.reaches(self.exeat, 3128))
        for port in (22, 443, 9128):
            self.assertFalse(self.agent.reaches(self.exeat, port), port)
        for other in (self.stranger, self.prometheus, self.agent, *(Place(ip=ip) for ip in ("203.0.113.1", "2001:db8::1", "10.96.0.1", "169.254.169.254"))):
            for port in (53, 443, 3128):
                self.assertFalse(self.agent.reaches(other, port), (vars(other), port))
                self.assertFalse(self.agent.reaches(other, port, "UDP"), (vars(other), port))

    def test_dns_is_a_file_of_its_own(self):
        for protocol in ("UDP", "TCP"):
            self.assertTrue(self.agent.reaches(self.dns, 53, protocol))
        self.assertFalse(self.agent.reaches(self.dns, 443))
        self.agent.policies = [self.agents["NetworkPolicy", "only-exeat"]]
        self.assertFalse(self.agent.reaches(self.dns, 53, "UDP"))
        self.assertTrue(self.agent.reaches(self.exeat, 3128))

    def test_nobody_else_comes_in(self):
        self.assertTrue(self.prometheus.reaches(self.exeat, 9128))
        self.assertFalse(self.prometheus.reaches(self.exeat, 3128))
        self.assertFalse(self.stranger.reaches(self.exeat, 3128))
        self.assertFalse(self.exeat.reaches(self.agent, 443))

    def test_exeat_reaches_the_internet_and_nothing_of_the_cluster(self):
        for ip in ("1.1.1.1", "8.8.8.8", "2606:4700::1111"):
            self.assertTrue(self.exeat.reaches(Place(ip=ip), 443), ip)
            self.assertFalse(self.exeat.reaches(Place(ip=ip), 80), ip)
        for ip in ("10.0.0.1", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1", "224.0.0.1", "fd00:ec2::254", "fe80::1", "::1"):
            self.assertFalse(self.exeat.reaches(Place(ip=ip), 443), ip)
        self.assertTrue(self.exeat.reaches(self.dns, 53, "UDP"))
        self.assertFalse(self.exeat.reaches(self.stranger, 443))


class Served(ManifestTest):
    """The configuration of the ConfigMap, served from where a kubelet would put it."""

    def put(self, text):
        """As the kubelet writes a volume: a new directory, and a link that is replaced in one step."""
        self.versions = getattr(self, "versions", 0) + 1
        version = self.directory / f"..version_{self.versions}"
        version.mkdir()
        (version / "exeat.conf").write_text(text)
        (self.directory / "..data_tmp").symlink_to(version.name)
        os.rename(self.directory / "..data_tmp", self.directory / "..data")

    def start(self):
        """On ports of loopback, for clients of loopback."""
        text = re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", self.conf).replace("unix:/run/exeat", f"unix:{self.directory}")
        self.text = re.sub(r"^(from += )(\S+/\d+)$", r"\1\2 127.0.0.0/8", text, flags=re.M)
        self.put(self.text)
        (self.directory / "exeat.conf").symlink_to("..data/exeat.conf")
        records = open(self.directory / "records", "ab")
        self.addCleanup(records.close)
        self.proxy = self.exeat(self.text, stdout=records)

    def records(self):
        return [json.loads(line) for line in (self.directory / "records").read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def probe(self, name):
        """The status that the kubelet would hear."""
        http = self.container[name]["httpGet"]
        self.assertEqual("metrics", http["port"])
        try:
            with urllib.request.urlopen(f"http://{self.proxy.ports['metrics']}{http['path']}", timeout=self.container[name]["timeoutSeconds"]) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def test_it_is_in_order(self):
        config = self.directory / "exeat.conf"
        config.write_text(self.conf)
        ran = subprocess.run([EXEAT, "check", "-c", config], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(0, ran.returncode, ran.stderr)
        self.assertEqual(1, ran.stderr.count("(warning)"), f"that the route is not pinned, and nothing else: {ran.stderr}")

    def test_probes_are_answered_and_a_drain_is_not_a_death(self):
        self.start()
        wait_until("readiness", lambda: self.probe("readinessProbe") == 200)
        self.assertEqual(200, self.probe("livenessProbe"))
        self.proxy.process.send_signal(signal.SIGTERM)
        wait_until("that it is not ready", lambda: self.probe("readinessProbe") == 503)
        self.assertEqual(200, self.probe("livenessProbe"), "one that drains would be killed")
        sock, status, _ = self.proxy.connect("denied.example.test", 443)
        sock.close()
        self.assertEqual(403, status, "who is still sent here is served")

    def test_a_new_config_map_is_taken(self):
        self.start()
        self.put(self.text.replace("@github", "@github added.example.test"))
        wait_until("the reload", lambda: any(r["event"] == "reload" for r in self.records()))
        [reload] = [r for r in self.records() if r["event"] == "reload"]
        self.assertIn("source", reload["detail"])


if __name__ == "__main__":
    unittest.main()
