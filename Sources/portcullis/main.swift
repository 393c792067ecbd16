import Host

await PortcullisHost.main(plugins: .standard)
