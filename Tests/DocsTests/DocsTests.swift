import Redis
import SignalKit
import TestSupport
import Testing

@testable import Host

@Test func everyMakeCommandInTheDocumentsExists() throws {
    let targets = makeTargets(try Repository.text("Makefile"))
    #expect(targets.isSuperset(of: ["run", "test", "build", "demo", "format", "lint", "bench"]))
    for document in Markdown.all() {
        let unknown = document.makeTargets.subtracting(targets)
        #expect(unknown.isEmpty, "\(document.path) names make \(unknown.sorted())")
    }
}

@Test func theReadmeNamesTheTwoCommandsAndTheDemo() throws {
    let readme = Markdown(path: "README.md", text: try Repository.text("README.md"))
    #expect(readme.makeTargets.isSuperset(of: ["run", "test", "demo"]))
}

@Test func aCommandThatDoesNotExistIsFound() {
    let document = Markdown(
        path: "bad.md", text: "Type `make coffee`.\n```\n$ make tea\nto make sense\n```\nThey make do.\n")
    #expect(document.makeTargets == ["coffee", "tea"])
    #expect(makeTargets("run: build ## serve\n\tswift run\nCONFIG ?= x\nA := b\n") == ["run"])
}

@Test func theTableOfModulesIsTheTree() throws {
    let architecture = Markdown(path: "docs/architecture.md", text: try Repository.text("docs/architecture.md"))
    #expect(architecture.firstColumn(under: "Modules").sorted() == Files.names(in: Repository.path("Sources")))
    let rooms = Files.names(in: Repository.path("Sources/Host")).filter {
        Files.isDirectory(Repository.path("Sources/Host/" + $0))
    }
    #expect(architecture.firstColumn(under: "Rooms of the host").sorted() == rooms)
}

@Test func aTableIsReadUnderItsOwnHeadingOnly() {
    let document = Markdown(path: "bad.md", text: "## One\n| `A` | a |\n| B | b |\n## Two\n| `C` | c |\n")
    #expect(document.firstColumn(under: "One") == ["A"])
}

@Test func everyRelativeLinkResolves() {
    let documents = Markdown.all()
    #expect(documents.count >= 5)
    for document in documents {
        let folder = document.path.split(separator: "/").dropLast().map { $0 + "/" }.joined()
        for link in document.relativeLinks {
            let target = link.hasPrefix("/") ? String(link.dropFirst()) : folder + link
            #expect(Files.exists(Repository.path(target)), "\(document.path) links to \(link)")
        }
    }
}

@Test func aBrokenLinkIsFound() {
    let document = Markdown(
        path: "docs/bad.md", text: "[a](nowhere.md#x), ![b](b.png) and [c](https://example.org)\n```\n[d](d)\n```\n")
    #expect(document.relativeLinks == ["nowhere.md", "b.png"])
}

@Test func everyMetricStandsInTheOperatorsDocument() throws {
    let text = try Repository.text("docs/operations.md")
    let metrics = HostMetrics()
    metrics.received("x", 1)
    metrics.truncated("x", 1)
    metrics.verdict(.accepted, adapter: "x", policy: nil)
    metrics.response(status: 200, route: "x")
    metrics.request(route: "x", .zero)
    metrics.storeError(.reset)
    metrics.delivery(sink: "x", result: "delivered")
    var stats = DeliveryStore.Stats()
    stats.queues = [("x", 1, .zero)]
    stats.dead = [("x", 1, 1)]
    metrics.sampled(stats)
    let names = metrics.registry.render().split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
        .compactMap { $0.split(separator: " ").dropFirst(2).first }
    #expect(names.count >= 16)
    for name in names { #expect(text.contains("`\(name)`"), "docs/operations.md does not name \(name)") }
}
