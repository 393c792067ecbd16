import TestSupport
import Testing
import Yams

/// deploy/redis-ha as kubectl renders it. What its files and scripts do is proven in FaultsTests/RedisHA*.swift.
@Suite struct RedisHADeployTests {
    private static let labels = ["app.kubernetes.io/name": "redis-ha"]

    private static func rendered(_ path: String) async throws -> [Node] {
        let run = try await ChildProcess.run("kubectl", ["kustomize", Repository.path(path)])
        #expect(run.end == .exited(0) && run.errors.isEmpty, "\(run.errors)")
        return Array(try Yams.compose_all(yaml: run.output))
    }

    private static func named(_ kind: String, _ name: String, _ all: [Node]) throws -> Node {
        try #require(all.first { $0["kind"]?.string == kind && $0["metadata"]?["name"]?.string == name })
    }

    private static func texts(_ node: Node?) -> [String] { node?.sequence?.compactMap(\.string) ?? [] }

    private static func map(_ node: Node?) -> [String: String] {
        var found: [String: String] = [:]
        for (key, value) in node?.mapping ?? [:] { found[key.string ?? ""] = value.string ?? "" }
        return found
    }

    /// Sidecars too.
    private static func containers(_ pod: Node) -> [Node] {
        Array(pod["initContainers"]?.sequence ?? []) + Array(pod["containers"]?.sequence ?? [])
    }

    private static func pod(_ all: [Node]) throws -> Node {
        try #require(try named("StatefulSet", "redis-ha", all)["spec"]?["template"]?["spec"])
    }

    @Test func threeMembersStandApartAndGoOneAtATime() async throws {
        let all = try await Self.rendered("deploy/redis-ha")
        #expect(all.allSatisfy { $0["metadata"]?["namespace"]?.string == "portcullis" })
        // Passwords are not in a repository.
        #expect(!all.contains { $0["kind"]?.string == "Secret" })
        let set = try #require(try Self.named("StatefulSet", "redis-ha", all)["spec"])
        #expect(set["replicas"]?.int == 3)
        // A first Redis waits for two Sentinels: one pod after the other would wait for ever.
        #expect(set["podManagementPolicy"]?.string == "Parallel")
        #expect((set["minReadySeconds"]?.int ?? 0) > 10)
        #expect(Self.map(set["template"]?["metadata"]?["labels"])["app.kubernetes.io/name"] == "redis-ha")

        let budget = try #require(try Self.named("PodDisruptionBudget", "redis-ha", all)["spec"])
        #expect(budget["maxUnavailable"]?.int == 1)
        #expect(Self.map(budget["selector"]?["matchLabels"]) == Self.labels)

        let apart = try #require(try Self.pod(all)["affinity"]?["podAntiAffinity"])
        let must = try #require(apart["requiredDuringSchedulingIgnoredDuringExecution"]?[0])
        #expect(must["topologyKey"]?.string == "kubernetes.io/hostname")
        #expect(Self.map(must["labelSelector"]?["matchLabels"]) == Self.labels)
        let may = try #require(apart["preferredDuringSchedulingIgnoredDuringExecution"]?[0]?["podAffinityTerm"])
        #expect(may["topologyKey"]?.string == "topology.kubernetes.io/zone")

        // Sentinels and replicas look for each other before anything is ready.
        for (name, isHeadless) in [("redis-ha", true), ("redis-ha-sentinel", false)] {
            let service = try #require(try Self.named("Service", name, all)["spec"])
            #expect(service["publishNotReadyAddresses"]?.bool == true)
            #expect((service["clusterIP"]?.string == "None") == isHeadless)
            #expect(Self.map(service["selector"]) == Self.labels)
        }
        #expect(set["serviceName"]?.string == "redis-ha")
    }

    @Test func nothingInAPodMayDoMoreThanItMustAndNoProbeKillsWhatLoads() async throws {
        let all = try await Self.rendered("deploy/redis-ha")
        let pod = try Self.pod(all)
        #expect(pod["automountServiceAccountToken"]?.bool == false)
        #expect(pod["securityContext"]?["runAsNonRoot"]?.bool == true)
        #expect(pod["securityContext"]?["seccompProfile"]?["type"]?.string == "RuntimeDefault")
        #expect(Self.containers(pod).compactMap { $0["name"]?.string } == ["sentinel", "redis"])
        // What makes an init container a sidecar, that ends after the others.
        #expect(pod["initContainers"]?[0]?["restartPolicy"]?.string == "Always")
        let files = try await Self.files(all)
        for container in Self.containers(pod) {
            let context = container["securityContext"]
            #expect(context?["readOnlyRootFilesystem"]?.bool == true)
            #expect(context?["allowPrivilegeEscalation"]?.bool == false)
            #expect(Self.texts(context?["capabilities"]?["drop"]) == ["ALL"])
            #expect(container["resources"]?["limits"]?["memory"] != nil)
            let tag = container["image"]?.string?.split(separator: ":").last ?? ""
            #expect(tag.filter { $0 == "." }.count == 2, "\(tag) is no version")

            let port = String(container["ports"]?[0]?["containerPort"]?.int ?? 0)
            func command(_ probe: String) -> [String] { Self.texts(container[probe]?["exec"]?["command"]) }
            let script = "/etc/redis-ha/probe.sh"
            #expect(command("startupProbe") == ["sh", script, "alive", port])
            #expect(command("livenessProbe") == ["sh", script, "alive", port])
            #expect(command("readinessProbe") == ["sh", script, "ready", port])
            func patience(_ probe: String) -> Int {
                (container[probe]?["periodSeconds"]?.int ?? 0) * (container[probe]?["failureThreshold"]?.int ?? 0)
            }
            #expect(patience("startupProbe") >= 3_600)
            #expect(patience("livenessProbe") >= 60)
            var commands = [Self.texts(container["command"])]
            let before = Self.texts(container["lifecycle"]?["preStop"]?["exec"]?["command"])
            if !before.isEmpty { commands.append(before) }
            for words in commands {
                #expect(words.first == "sh" && words.count == 2)
                #expect(files.keys.contains { words.last == "/etc/redis-ha/\($0)" }, "\(words)")
            }
        }
        let redis = try #require(pod["containers"]?[0])
        #expect(
            Self.texts(redis["lifecycle"]?["preStop"]?["exec"]?["command"]) == ["sh", "/etc/redis-ha/hand-over.sh"])
        #expect((pod["terminationGracePeriodSeconds"]?.int ?? 0) >= 60)
    }

    /// The ConfigMap, by the name that the pod mounts.
    private static func files(_ all: [Node]) async throws -> [String: String] {
        let mounted = try pod(all)["volumes"]?.sequence?.first { $0["name"]?.string == "files" }
        let name = try #require(mounted?["configMap"]?["name"]?.string)
        return map(try named("ConfigMap", name, all)["data"])
    }

    @Test func theClusterGetsTheFilesThatTheTestsStart() async throws {
        let all = try await Self.rendered("deploy/redis-ha")
        let files = try await Self.files(all)
        let folder = "deploy/redis-ha"
        let proven = Files.names(in: Repository.path(folder)).filter { name in
            [".sh", ".conf", ".acl"].contains { name.hasSuffix($0) }
        }
        #expect(files.keys.sorted() == proven)
        for (name, text) in files { #expect(try text == Repository.text("\(folder)/\(name)"), "\(name)") }
    }

    /// The words after `>` in the lists of users, and what scripts read.
    private static func passwords(_ files: [String: String]) -> Set<String> {
        var found: Set<String> = []
        for (name, text) in files {
            let words = text.split { $0.isWhitespace || $0 == ")" }
            for (word, next) in zip(words, words.dropFirst()) {
                if name.hasSuffix(".acl"), next.hasPrefix(">"), word == "on" { found.insert(String(next.dropFirst())) }
                if name.hasSuffix(".sh"), word.hasSuffix("$(secret"), next.hasSuffix("-password") {
                    found.insert(String(next))
                }
            }
        }
        return found
    }

    /// Keys that a README's `kubectl create secret generic NAME` makes.
    private static func keys(of secret: String, in readme: String) throws -> Set<String> {
        let text = try Repository.text(readme)
        let command = try #require(text.split(separator: "create secret generic \(secret) ").dropFirst().first)
        let lines = command.split(separator: "\nkubectl").first ?? ""
        return Set(lines.split(separator: "--from-literal=").dropFirst().map { String($0.prefix { $0 != "=" }) })
    }

    @Test func everyPasswordIsInASecretThatTheReadmeMakes() async throws {
        let all = try await Self.rendered("deploy/redis-ha")
        let volumes = try Self.pod(all)["volumes"]?.sequence ?? []
        let sources = try #require(
            volumes.first { $0["name"]?.string == "passwords" }?["projected"]?["sources"]?.sequence)
        var (mounted, optional): (Set<String>, Set<String>) = ([], [])
        for source in sources.compactMap({ $0["secret"] }) {
            let name = try #require(source["name"]?.string)
            let made = try Self.keys(of: name, in: "deploy/redis-ha/README.md")
            guard let items = source["items"]?.sequence else {
                mounted.formUnion(made)
                continue
            }
            for item in items {
                let (key, path) = (item["key"]?.string ?? "", item["path"]?.string ?? "")
                if source["optional"]?.bool == true {
                    optional.insert(path)
                } else {
                    #expect(made.contains(key), "\(name) has no \(key)")
                    mounted.insert(path)
                }
            }
        }
        let needed = Self.passwords(try await Self.files(all))
        #expect(needed.count == 6)
        #expect(mounted == needed)
        #expect(mounted == Set(RedisGroup.passwords))
        #expect(optional == ["portcullis-password-also", "portcullis-sentinel-password-also"])
        // Not one of them is known to the repository.
        for container in Self.containers(try Self.pod(all)) {
            for variable in container["env"]?.sequence ?? [] {
                #expect(variable["name"]?.string?.contains("PASSWORD") == false)
            }
        }
    }

    private static func ports(_ rule: Node?) -> Set<Int> {
        Set(rule?["ports"]?.sequence?.compactMap { $0["port"]?.int } ?? [])
    }

    @Test func theHostFindsItAndNobodyElseDoes() async throws {
        let all = try await Self.rendered("deploy/redis-ha")
        let policy = try #require(try Self.named("NetworkPolicy", "redis-ha", all)["spec"])
        #expect(Self.map(policy["podSelector"]?["matchLabels"]) == Self.labels)
        #expect(Self.texts(policy["policyTypes"]) == ["Ingress", "Egress"])
        #expect(policy["ingress"]?.sequence?.count == 1)
        let peers = policy["ingress"]?[0]?["from"]?.sequence ?? []
        let who = peers.map {
            Self.map(($0["podSelector"] ?? $0["namespaceSelector"])?["matchLabels"]).map { "\($0)=\($1)" }.joined()
        }
        #expect(
            who.sorted() == [
                "app.kubernetes.io/name=portcullis", "app.kubernetes.io/name=redis-ha",
                "kubernetes.io/metadata.name=monitoring",
            ])
        #expect(Self.ports(policy["ingress"]?[0]) == [6_379, 26_379])

        let variables = try Self.pod(all)["containers"]?[0]?["env"]?.sequence ?? []
        let members = variables.first { $0["name"]?.string == "MEMBERS" }?["value"]?.string ?? ""
        let nodes = members.split(separator: " ").map { member in
            let parts = member.split(separator: ":")
            return parts[0].split(separator: "$(NAMESPACE)").joined(separator: "portcullis") + ":\(parts[2])"
        }
        #expect(nodes.count == 3)
        let overlay = try await Self.rendered("deploy/kubernetes/overlays/external-redis-sentinel")
        let texts: [String] = overlay.compactMap { $0["data"]?["portcullis.yaml"]?.string }
        let text = try #require(texts.first)
        let redis = try #require(try Yams.compose(yaml: text)?["state"]?["redis"])
        #expect(Self.texts(redis["sentinel"]?["nodes"]) == nodes)
        #expect(redis["username"]?.string == "portcullis")
        #expect(redis["sentinel"]?["username"]?.string == "portcullis-sentinel")
        let keys = try Self.keys(of: "portcullis-redis", in: "deploy/redis-ha/README.md")
        for file in [redis["password_file"], redis["sentinel"]?["password_file"]] {
            #expect(keys.contains { file?.string == "/secrets/redis/\($0)" })
        }
        let policyOut = try Self.named("NetworkPolicy", "portcullis-to-redis", overlay)
        let out = try #require(policyOut["spec"]?["egress"]?[0])
        #expect(Self.map(out["to"]?[0]?["podSelector"]?["matchLabels"]) == Self.labels)
        #expect(Self.ports(out) == [6_379, 26_379])
    }
}
