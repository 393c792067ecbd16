-- Queues the episode for every sink, with its document.
return function(settings, kit)
  local queue, accepted
  local function write() queue(accepted.record, accepted.document) end

  return function(signal)
    queue, accepted = kit.queue(signal.fingerprint, signal.clock, signal.clock), signal
    return 'accepted', write
  end
end
