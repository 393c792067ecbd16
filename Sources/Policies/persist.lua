-- Queues the episode for every sink, with its document, or hands it over.
return function(settings, kit)
  local queue, accepted
  local function write() queue(accepted.record, accepted.document, accepted.place) end

  return function(signal)
    queue, accepted = kit.queue(signal.fingerprint, signal.clock, signal.clock), signal
    return 'accepted', write
  end
end
