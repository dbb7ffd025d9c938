-- The last seconds before a stop: each answer closes its connection, so that no client meets a closed one later. Nginx
-- knows that by location alone, so requests take a turn to one of which it is true.
local dict = ngx.shared.upstream

local M = {}

function M.begin()
    return dict:set("leaving", true)
end

function M.turn()
    if dict:get("leaving") then
        return ngx.exec("@leave")
    end
end

return M
