-- The way past a maintenance on purpose: a link that leaves a cookie. What is known here is a digest of the one value
-- that opens, so that neither the flag nor what is kept of it is worth stealing.
local ffi = require "ffi"
local flags = require "gateway.flag"

ffi.cdef [[
unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);
int CRYPTO_memcmp(const void *one, const void *other, size_t length);
]]

local M = {}

local NAME = "maintenance_bypass"
local LONGEST = 256
local digest = ffi.new("unsigned char[32]")

-- Whether a value opens; how long that takes tells nothing about how much of it is right.
function M.opens(flag, value)
    if not value or #value > LONGEST or ngx.time() >= flag.bypass_until then
        return false
    end
    ffi.C.SHA256(value, #value, digest)
    return #flag.bypass_digest == 32 and ffi.C.CRYPTO_memcmp(digest, flag.bypass_digest, 32) == 0
end

-- Takes the cookie off the request, of whichever maintenance it is, and returns the values it had: the application
-- never sees one.
function M.take()
    local header = ngx.var.http_cookie
    if not header or not header:find(NAME, 1, true) then
        return nil
    end
    local kept, taken = {}, {}
    for pair in header:gmatch("[^;]+") do
        local name, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
        if name == NAME then
            taken[#taken + 1] = value
        else
            kept[#kept + 1] = pair:match("^%s*(.-)%s*$")
        end
    end
    if #taken == 0 then
        return nil
    end
    if #kept > 0 then
        ngx.req.set_header("Cookie", table.concat(kept, "; "))
    else
        ngx.req.clear_header("Cookie")
    end
    return taken
end

-- The link: leaves the cookie and leads to the site. Once the maintenance is over it only leads there.
function M.serve()
    local method = ngx.req.get_method()
    if method ~= "GET" and method ~= "HEAD" then
        return ngx.exit(405)
    end
    local flag = flags.current()
    if flag then
        local value = ngx.var.arg_pass
        if not M.opens(flag, value) then
            return ngx.exit(403)
        end
        ngx.header["Set-Cookie"] = NAME .. "=" .. value .. "; Path=/; Max-Age=" .. (flag.bypass_until - ngx.time())
            .. "; HttpOnly; SameSite=Lax" .. (ngx.var.site_scheme == "https" and "; Secure" or "")
    end
    ngx.status = 303
    ngx.header["Location"] = "/"
    ngx.header["Content-Length"] = 0
end

return M
