-- In front of the scripts that end a delivery.

-- The version that a sink would be told of now, from when on, and the problem's episode and state; nil when there is nothing to tell.
function kit.current(member, space)
  if #member == 32 then
    local record = kit.read(member, space)
    local view = record and kit.view(record)
    if view then return view.version, 0, view.episode, view.state end
    return nil
  end
  local storm = kit.storm(member)
  if storm then return storm.version, storm.announced + storm.flush end
end
