-- Queues the episode for every sink, with its document, or puts it in flight at the calling host.
return function(settings, kit)
  local queue, accepted
  local function write() queue(accepted.record, accepted.document, accepted.place) end

  return function(signal)
    queue, accepted = kit.queue(signal.fingerprint, signal.time, signal.time), signal
    return 'accepted', write
  end
end
