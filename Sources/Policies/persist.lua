-- Queues the episode for every sink, with its document.
return function(settings, kit)
  return function(signal)
    local queue = kit.queue(signal.fingerprint, signal.clock, signal.clock)
    return 'accepted', function() queue(signal.record, signal.document) end
  end
end
