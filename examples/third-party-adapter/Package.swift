// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "third-party-adapter",
    products: [.library(name: "AcmePager", targets: ["AcmePager"])],
    dependencies: [
        // No traits: the contract and the JSON reader alone, without the host and all that it depends on.
        .package(name: "portcullis", path: "../..", traits: [])
    ],
    targets: [
        .target(
            name: "AcmePager",
            dependencies: [
                .product(name: "SignalKit", package: "portcullis"), .product(name: "JSON", package: "portcullis"),
            ]),
        .testTarget(
            name: "AcmePagerTests",
            dependencies: ["AcmePager", .product(name: "SignalTesting", package: "portcullis")]),
    ]
)
