import AcmePager
import Host

// Everything that the standard build has, and one adapter more.
await PortcullisHost.main(plugins: .standard + Plugins(adapters: [AcmePager.self]))
