import JSON
import TestAPIServer
import TestSupport
import Testing
import Yams

/// deploy/kubernetes as kubectl renders it.
@Suite struct DeployTests {
    static let kustomizations = ["base", "overlays/monitored", "overlays/external-redis-sentinel"]

    private static func rendered(_ name: String) async throws -> [Node] {
        let run = try await ChildProcess.run("kubectl", ["kustomize", Repository.path("deploy/kubernetes/\(name)")])
        #expect(run.end == .exited(0) && run.errors.isEmpty, "\(run.errors)")
        return Array(try Yams.compose_all(yaml: run.output))
    }

    private static func texts(_ node: Node?) -> [String] { node?.sequence?.compactMap(\.string) ?? [] }

    @Test(arguments: kustomizations)
    func itIsRenderedAndNothingInItMayDoMoreThanItMust(_ name: String) async throws {
        let all = try await Self.rendered(name)
        let kinds = Set(all.compactMap { $0["kind"]?.string })
        for kind in [
            "Namespace", "CustomResourceDefinition", "Deployment", "Service", "ServiceAccount", "Role", "ClusterRole",
            "PodDisruptionBudget", "NetworkPolicy", "ConfigMap",
        ] {
            #expect(kinds.contains(kind))
        }
        #expect(kinds.contains("ServiceMonitor") == (name == "overlays/monitored"))
        #expect(kinds.contains("StatefulSet") == (name != "overlays/external-redis-sentinel"))
        let namespace = all.first { $0["kind"]?.string == "Namespace" }
        let enforced = namespace?["metadata"]?["labels"]?["pod-security.kubernetes.io/enforce"]?.string
        #expect(enforced == "restricted")
        for owner in all where owner["spec"]?["template"] != nil {
            let pod = try #require(owner["spec"]?["template"]?["spec"])
            #expect(pod["securityContext"]?["runAsNonRoot"]?.bool == true)
            #expect(pod["securityContext"]?["seccompProfile"]?["type"]?.string == "RuntimeDefault")
            for container in pod["containers"]?.sequence ?? [] {
                let context = container["securityContext"]
                #expect(context?["readOnlyRootFilesystem"]?.bool == true)
                #expect(context?["allowPrivilegeEscalation"]?.bool == false)
                #expect(Self.texts(context?["capabilities"]?["drop"]) == ["ALL"])
                #expect(container["resources"]?["limits"]?["memory"] != nil)
                #expect(container["readinessProbe"] != nil)
            }
        }
        let deployment = all.first { $0["kind"]?.string == "Deployment" }
        #expect(deployment?["spec"]?["replicas"]?.int == 2)
    }

    @Test(arguments: kustomizations)
    func itsConfigurationIsOneThatThisHostTakes(_ name: String) async throws {
        let all = try await Self.rendered(name)
        let texts = all.compactMap { $0["data"]?["portcullis.yaml"]?.string }
        let text = try #require(texts.first)
        let files = try TemporaryDirectory()
        try Files.write(text, to: files.file("portcullis.yaml"))
        let check = try await ChildProcess.run(
            HostProcess.executable(), ["check", "--config", files.file("portcullis.yaml")])
        #expect(check.end == .exited(0), "\(check.output)\(check.errors)")
        for adapter in try Yams.compose(yaml: text)?["adapters"]?.sequence ?? [] {
            let audiences = adapter["authenticate"]?["kubernetes"]?["audiences"]
            #expect(Self.texts(audiences) == ["portcullis"])
        }
    }

    /// A token for the API server itself would be worth something to whoever reads it on its way.
    @Test(arguments: ["alertmanager", "prometheus"])
    func aSenderShowsTheTokenThatTheReadmeMounts(_ name: String) throws {
        let sender = try Repository.text("deploy/kubernetes/senders/\(name).yml")
        let readme = try Repository.text("deploy/README.md")
        let block = try #require(readme.split(separator: "```yaml\n").dropFirst().first?.split(separator: "```").first)
        let pod = try #require(try Yams.compose(yaml: String(block))?["spec"])
        let mount = try #require(pod["containers"]?[0]?["volumeMounts"]?[0])
        let volume = try #require(pod["volumes"]?[0])
        let token = volume["projected"]?["sources"]?[0]?["serviceAccountToken"]
        #expect(mount["name"]?.string == volume["name"]?.string && token?["audience"]?.string == "portcullis")
        let file = "\(mount["mountPath"]?.string ?? "")/\(token?["path"]?.string ?? "")"
        #expect(sender.contains("credentials_file: \(file)\n"))
    }

    /// `group/resource verb`, or `path verb` for what is no resource.
    private static func allowed(_ all: [Node], _ role: (Node) -> Bool) -> Set<String> {
        var found: Set<String> = []
        for rule in all.filter(role).flatMap({ Array($0["rules"]?.sequence ?? []) }) {
            for verb in texts(rule["verbs"]) {
                for path in texts(rule["nonResourceURLs"]) { found.insert("\(path) \(verb)") }
                for group in texts(rule["apiGroups"]) {
                    for resource in texts(rule["resources"]) { found.insert("\(group)/\(resource) \(verb)") }
                }
            }
        }
        return found
    }

    private static func verb(_ request: APIRequest) -> String? {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.first == "api" || parts.first == "apis" else { return nil }
        let group = parts[0] == "apis" ? parts[1] : ""
        var rest = parts.dropFirst(parts[0] == "apis" ? 3 : 2)[...]
        if rest.first == "namespaces" { rest = rest.dropFirst(2) }
        guard let plural = rest.popFirst() else { return nil }
        let isNamed = rest.popFirst() != nil
        let resource = ([plural] + rest).joined(separator: "/")
        let verb =
            switch request.method {
            case "GET": request.query["watch"] != nil ? "watch" : isNamed ? "get" : "list"
            case "POST": "create"
            case "PATCH": "patch"
            case "DELETE": "delete"
            default: request.method
            }
        return "\(group)/\(resource) \(verb)"
    }

    @Test func theServiceAccountMayDoWhatTheHostDoesAndNothingElse() async throws {
        let server = try await TestAPIServer()
        server.know("sender", APIUser("alertmanager", paths: ["/api/v1/signals/alertmanager"]))
        let files = try TemporaryDirectory()
        let kubeconfig = files.file("kubeconfig")
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, namespace: portcullis}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: kubeconfig)
        var plan = HostPlan.embedded()
        plan.adapters = """
              - {use: alertmanager, path: /api/v1/signals/alertmanager, authenticate: {kubernetes: {kubeconfig: '\(kubeconfig)'}}}
              - {use: kubernetes-events, path: /events, authenticate: none}
            """
        plan.sources = "  - {use: kubernetes-events-watch, feeds: kubernetes-events, kubeconfig: '\(kubeconfig)'}"
        plan.sinks = "  - {use: kubernetes, name: cluster, when_full: refuse, ttl: 1m, kubeconfig: '\(kubeconfig)'}"
        server.create(
            "/apis/portcullis.dev/v1alpha1/namespaces/portcullis/signals",
            ["kind": "Signal", "metadata": ["name": "old"], "spec": ["fingerprint": "f", "episode": "1"]])
        server.patch("signals", "old", status: ["state": "resolved", "lastSeen": "2026-01-01T00:00:00Z"])
        let host = try await HostProcess(plan)
        // A name that is taken, so that the sink has to see by whom.
        server.fail("POST", "signals", .answer(.failure(409, "AlreadyExists", "exists")))
        let answer = try await host.http.post(
            "/api/v1/signals/alertmanager", Alert.webhook([Alert("A")]), headers: ["Authorization": "Bearer sender"])
        #expect(answer.status == 201)
        try await eventually("an object with its state") {
            server.objects("signals").values.contains { $0["status"]?["state"] != nil }
        }
        try await eventually("a watch") { server.watching == 1 }
        try await eventually("the old one gone") { server.objects("signals")["old"] == nil }

        let all = try await Self.rendered("base")
        func isOurs(_ node: Node) -> Bool {
            ["Role", "ClusterRole"].contains(node["kind"]?.string ?? "")
                && node["metadata"]?["name"]?.string != "portcullis-sender"
        }
        #expect(Self.allowed(all, isOurs) == Set(server.requests.compactMap(Self.verb)))
        let sender = Self.allowed(all) { $0["metadata"]?["name"]?.string == "portcullis-sender" }
        #expect(sender.contains("/api/v1/signals/alertmanager post"))
    }

    @Test func theCrdKnowsEveryFieldThatTheSinkWrites() async throws {
        let all = try await Self.rendered("base")
        let crd = try #require(all.first { $0["kind"]?.string == "CustomResourceDefinition" })
        let version = try #require(crd["spec"]?["versions"]?.sequence?.first)
        let properties = try #require(version["schema"]?["openAPIV3Schema"]?["properties"])
        let server = try await TestAPIServer()
        let files = try TemporaryDirectory()
        try Files.write(
            """
            current-context: here
            contexts: [{name: here, context: {cluster: c, namespace: portcullis}}]
            clusters: [{name: c, cluster: {server: 'http://127.0.0.1:\(server.port)'}}]
            """, to: files.file("kubeconfig"))
        var plan = HostPlan.embedded()
        plan.policies =
            "  - {use: deduplicate}\n  - {use: storm, rate: {count: 2, per: 1m}, flush: 100ms}\n"
            + "  - {use: persist, durability: fsync}"
        plan.sinks =
            "  - {use: kubernetes, name: cluster, when_full: refuse, kubeconfig: '\(files.file("kubeconfig"))'}"
        let host = try await HostProcess(plan)
        for pod in 0..<4 {
            let alert = Alert("A", ("namespace", "shop"), ("pod", "p\(pod)"), ("severity", "page"))
            _ = try await host.post(alert)
        }
        _ = try await host.post(Alert("A", ("namespace", "shop"), ("pod", "p0"), ("severity", "page")).resolved())
        try await eventually("a storm and a resolved signal") {
            let states = server.objects("signals").values.compactMap { $0["status"]?["state"]?.text }
            return states.contains("open") && states.contains("resolved")
        }
        for object in server.objects("signals").values {
            for part in ["spec", "status"] {
                guard case .object(let fields)? = object[part] else { continue }
                let known = Set(properties[part]?["properties"]?.mapping?.keys.compactMap(\.string) ?? [])
                #expect(Set(fields.keys).subtracting(known).isEmpty)
                for required in Self.texts(properties[part]?["required"]) { #expect(fields[required] != nil) }
            }
        }
    }
}
