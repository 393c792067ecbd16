import SignalKit
