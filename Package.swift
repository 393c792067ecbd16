// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Fail points exist in debug builds alone (decision 0028): a release build compiles none, whatever its traits and flags.
let failPoints: [SwiftSetting] = [.define("FAILPOINTS", .when(configuration: .debug))]

/// Everything that only the host needs. A package of adapters that takes Portcullis with `traits: []`
/// fetches none of it.
func host(_ product: String, _ package: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: ["Host"]))
}

let package = Package(
    name: "portcullis",
    products: [
        .library(name: "SignalKit", targets: ["SignalKit"]),
        .library(name: "SignalTesting", targets: ["SignalTesting"]),
        .library(name: "JSON", targets: ["JSON"]),
        .library(name: "Portcullis", targets: ["Host", "Adapters", "Policies", "Sinks"]),
        .executable(name: "portcullis", targets: ["portcullis"]),
    ],
    traits: [
        .default(enabledTraits: ["Host"]),
        .trait(name: "Host", description: "The host process: HTTP server, Redis, command line."),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.2"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    ],
    targets: [
        .target(name: "SignalKit", swiftSettings: settings),
        .target(name: "SignalTesting", dependencies: ["SignalKit"], swiftSettings: settings),

        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .target(
            name: "CSimdjson", linkerSettings: [.linkedLibrary("simdjson")]),
        .target(name: "JSON", dependencies: ["CJansson", "CSimdjson"], swiftSettings: settings),
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),

        .systemLibrary(name: "CHiredis", pkgConfig: "hiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(
            name: "Redis",
            dependencies: [
                "CHiredis",
                host("NIOCore", "swift-nio"), host("NIOPosix", "swift-nio"), host("NIOTLS", "swift-nio"),
                host("NIOSSL", "swift-nio-ssl"), host("NIOConcurrencyHelpers", "swift-nio"),
                host("Logging", "swift-log"), host("Crypto", "swift-crypto"),
            ],
            swiftSettings: settings),

        .target(name: "CCurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(
            name: "Kubernetes", dependencies: ["CCurl", "JSON", host("Yams", "Yams")], swiftSettings: settings),

        .target(name: "Adapters", dependencies: ["SignalKit", "JSON", "Kubernetes"], swiftSettings: settings),
        .target(
            name: "Policies", dependencies: ["SignalKit", "JSON", "CRE2", host("Crypto", "swift-crypto")],
            resources: [
                .embedInCode("deduplicate.lua"), .embedInCode("storm.lua"), .embedInCode("persist.lua"),
            ],
            swiftSettings: settings),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "CMemory", linkerSettings: [.linkedLibrary("jemalloc")]),
        .target(name: "FailPoints", swiftSettings: settings + failPoints),
        .target(
            name: "Sinks", dependencies: ["SignalKit", "JSON", "Kubernetes", "FailPoints"], swiftSettings: settings),
        .target(
            name: "Host",
            dependencies: [
                "SignalKit", "JSON", "Redis", "Kubernetes", "Adapters", "Policies", "Sinks", "CMemory",
                "CLZ4", "FailPoints",
                host("Hummingbird", "hummingbird"), host("HummingbirdTLS", "hummingbird"),
                host("HummingbirdHTTP2", "hummingbird"), host("HTTPTypes", "swift-http-types"),
                host("NIOCore", "swift-nio"), host("NIOPosix", "swift-nio"), host("NIOSSL", "swift-nio-ssl"),
                host("NIOConcurrencyHelpers", "swift-nio"), host("NIOHTTP1", "swift-nio"),
                host("Logging", "swift-log"), host("Metrics", "swift-metrics"), host("CoreMetrics", "swift-metrics"),
                host("Crypto", "swift-crypto"), host("ArgumentParser", "swift-argument-parser"),
                host("ServiceLifecycle", "swift-service-lifecycle"),
                host("UnixSignals", "swift-service-lifecycle"), host("Yams", "Yams"),
            ],
            resources: [
                .embedInCode("Gate/prelude.lua"), .embedInCode("Gate/writes.lua"), .embedInCode("Gate/records.lua"),
                .embedInCode("Gate/untold.lua"), .embedInCode("Gate/outbox.lua"),
                .embedInCode("Gate/stormstate.lua"), .embedInCode("Gate/driver.lua"),
                .embedInCode("Gate/hosts.lua"), .embedInCode("Gate/verify.lua"), .embedInCode("Gate/heartbeat.lua"),
                .embedInCode("Gate/reject.lua"), .embedInCode("Gate/restore.lua"),
                .embedInCode("Gate/restorestorms.lua"), .embedInCode("Gate/settle.lua"),
                .embedInCode("Gate/sessions.lua"), .embedInCode("Gate/session.lua"),
                .embedInCode("Gate/endsession.lua"), .embedInCode("Gate/recover.lua"),
                .embedInCode("Gate/adopt.lua"),
                .embedInCode("Delivery/claim.lua"), .embedInCode("Delivery/inflight.lua"),
                .embedInCode("Delivery/release.lua"), .embedInCode("Delivery/current.lua"),
                .embedInCode("Delivery/acknowledge.lua"), .embedInCode("Delivery/retry.lua"),
                .embedInCode("Delivery/resume.lua"),
                .embedInCode("Delivery/bury.lua"), .embedInCode("Delivery/sweep.lua"),
                .embedInCode("Delivery/stats.lua"), .embedInCode("Delivery/replay.lua"),
                .embedInCode("Delivery/drop.lua"), .embedInCode("Delivery/letters.lua"),
                .embedInCode("Delivery/storms.lua"), .embedInCode("Delivery/queues.lua"),
                .embedInCode("Pipeline/lease.lua"),
                .embedInCode("Pipeline/move.lua"), .embedInCode("Pipeline/recall.lua"),
            ],
            swiftSettings: settings),
        .executableTarget(name: "portcullis", dependencies: ["Host"], swiftSettings: settings),
        .executableTarget(
            name: "portcullis-micro", dependencies: ["Host"], path: "Benchmarks/Micro", swiftSettings: settings),

        .target(name: "TestSupport", dependencies: ["JSON"], path: "Tests/TestSupport", swiftSettings: settings),
        .target(
            name: "TestAPIServer",
            dependencies: [
                "JSON", host("NIOCore", "swift-nio"), host("NIOPosix", "swift-nio"), host("NIOHTTP1", "swift-nio"),
                host("NIOSSL", "swift-nio-ssl"), host("NIOConcurrencyHelpers", "swift-nio"),
            ], path: "Tests/TestAPIServer", swiftSettings: settings),
        .executableTarget(
            name: "test-api-server", dependencies: ["TestAPIServer", "TestSupport", "JSON"],
            path: "Tests/APIServerProcess", swiftSettings: settings),
        .testTarget(name: "SignalKitTests", dependencies: ["SignalKit"], swiftSettings: settings),
        .testTarget(
            name: "SignalTestingTests", dependencies: ["SignalKit", "SignalTesting", "Adapters", "JSON"],
            swiftSettings: settings),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: settings),
        .testTarget(
            name: "RedisTests",
            dependencies: [
                "Redis", "TestSupport", host("NIOCore", "swift-nio"), host("NIOPosix", "swift-nio"),
                host("NIOConcurrencyHelpers", "swift-nio"), host("Logging", "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "KubernetesTests", dependencies: ["Kubernetes", "JSON", "TestSupport", "TestAPIServer"],
            exclude: ["Fixtures"], swiftSettings: settings),
        .testTarget(
            name: "AdaptersTests",
            dependencies: [
                "Adapters", "SignalKit", "SignalTesting", "JSON", "Kubernetes", "TestSupport", "TestAPIServer",
            ],
            exclude: ["Fixtures/README.md", "Cases"],
            resources: [
                .embedInCode("Fixtures/alertmanager-firing.json"), .embedInCode("Fixtures/alertmanager-resolved.json"),
                .embedInCode("Fixtures/prometheus-firing.json"), .embedInCode("Fixtures/prometheus-resolved.json"),
                .embedInCode("Fixtures/amtool-add.json"),
                .embedInCode("Fixtures/kubernetes-event-core.json"), .embedInCode("Fixtures/kubernetes-event-new.json"),
                .embedInCode("Fixtures/kubernetes-event-core-as-new.json"),
                .embedInCode("Fixtures/kubernetes-event-new-as-core.json"),
                .embedInCode("Fixtures/kubernetes-watch.jsonl"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "PoliciesTests", dependencies: ["Policies", "SignalKit", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "SinksTests",
            dependencies: [
                "Sinks", "SignalKit", "JSON", "Kubernetes", "TestSupport", "TestAPIServer", host("Yams", "Yams"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "HostTests",
            dependencies: [
                "Host", "Redis", "Policies", "Sinks", "Adapters", "SignalKit", "JSON", "TestSupport", "TestAPIServer",
                host("NIOCore", "swift-nio"), host("NIOPosix", "swift-nio"), host("Logging", "swift-log"),
                host("NIOConcurrencyHelpers", "swift-nio"), host("Crypto", "swift-crypto"),
                host("CoreMetrics", "swift-metrics"), host("HTTPTypes", "swift-http-types"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "AcceptanceTests",
            dependencies: [
                "TestSupport", "TestAPIServer", "JSON", "portcullis", host("Subprocess", "swift-subprocess"),
                host("Yams", "Yams"),
            ],
            swiftSettings: settings),
        .testTarget(name: "FaultsTests", dependencies: ["TestSupport", "JSON", "portcullis"], swiftSettings: settings),
        .testTarget(name: "TidyTests", dependencies: ["TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "DocsTests", dependencies: ["Host", "Redis", "SignalKit", "TestSupport", "JSON"],
            swiftSettings: settings),
    ],
    cxxLanguageStandard: .cxx17
)
