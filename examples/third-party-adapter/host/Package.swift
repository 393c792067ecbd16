// swift-tools-version: 6.2
import PackageDescription

// A package of its own: traits are united over a package's whole graph, so an executable beside the adapter
// would bring the host's dependencies to everybody who takes the adapter.
let package = Package(
    name: "acme-portcullis",
    dependencies: [
        .package(name: "portcullis", path: "../../.."),
        .package(name: "third-party-adapter", path: ".."),
    ],
    targets: [
        .executableTarget(
            name: "acme-portcullis",
            dependencies: [
                .product(name: "Portcullis", package: "portcullis"),
                .product(name: "AcmePager", package: "third-party-adapter"),
            ])
    ]
)
